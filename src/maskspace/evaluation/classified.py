"""A model's proposals with their classes, as one map of segments in the classes of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from maskspace.evaluation.ranked_proposals import Proposed, painted
from maskspace.evaluation.truth import Truth
from maskspace.types import Category


@dataclass(frozen=True)
class Classified:
    """Disjoint segments and their classes.

    segments: labels from 1; 0 where there is no segment.
    classes: label -> class of the truth, from 1; 0 for a class that the dataset does not have.

    Example:
        >>> classified = Classified(np.array([[0, 1, 2]]), {1: 7, 2: 0})  # label 2 has no class
        >>> classified.class_map.tolist()
        [[0, 7, 0]]
    """

    segments: Int64[np.ndarray, "h w"]
    classes: Mapping[int, int]

    @property
    def class_map(self) -> Int64[np.ndarray, "h w"]:
        """The class at each pixel, 0 without one."""
        table = [self.classes.get(label, 0) for label in range(int(self.segments.max()) + 1)]
        return np.array(table, np.int64)[self.segments]


def classify(proposed: Proposed, categories: Sequence[Category], truth: Truth) -> Classified:
    """Return proposals painted over each other, the best on top, in the truth's classes.

    A class of the model is the class of the dataset that has the same name. All proposals of one
    class of stuff are one segment.

    Args:
        proposed: the proposals, best first.
        categories: the classes of the proposals: class k is `categories[k]`.
        truth: the truth, with the classes of the dataset.

    Example:
        >>> from maskspace.masks.iou_table import iou_table
        >>> from maskspace.types import Prediction
        >>> halves = np.array([[[True, False]], [[False, True]]])
        >>> truth = Truth(
        ...     key="a", image=np.zeros((1, 2, 3), np.uint8), masks=halves, ids=(1, 2), too_small=0,
        ...     ignore=np.zeros((1, 2), bool), label_maps=(), things={"sky": False, "car": True},
        ...     classes=(1, 2))
        >>> found = Prediction(halves, np.ones(2, np.float32), np.array([0, 1]))
        >>> proposed = Proposed(found, iou_table(halves, halves), 2)
        >>> table = Category(id=5, name="car"), Category(id=9, name="tree")
        >>> classify(proposed, table, truth).class_map.tolist()  # a tree is no class there
        [[2, 0]]
    """
    number = {name: place for place, name in enumerate(truth.things, start=1)}
    of_model = {k: number.get(category.name, 0) for k, category in enumerate(categories)}
    class_of_proposal = proposed.proposals.classes
    numbers = [] if class_of_proposal is None else class_of_proposal.tolist()[: len(proposed.iou)]
    classes = [of_model.get(k, 0) for k in numbers] or [0] * len(proposed.iou)
    shown = painted(proposed.first(len(classes)) & ~truth.ignore)
    return segments_of(shown, classes, truth)


def segments_of(
    labels: Int64[np.ndarray, "h w"], classes: Sequence[int], truth: Truth
) -> Classified:
    """Return a label map as segments with classes; all labels of one class of stuff become one.

    Args:
        labels: labels from 1, 0 for none.
        classes: the class of each label, from label 1.
        truth: the truth, with the classes of the dataset.

    Example:
        >>> truth = Truth(
        ...     key="a", image=np.zeros((1, 3, 3), np.uint8), masks=np.zeros((0, 1, 3), bool),
        ...     ids=(), too_small=0, ignore=np.zeros((1, 3), bool), label_maps=(),
        ...     things={"sky": False})
        >>> segments_of(np.array([[1, 2, 3]]), [1, 1, 0], truth).segments.tolist()
        [[1, 1, 3]]
    """
    is_thing = [True, *truth.things.values()]
    new_label, stuff = [0], {}
    for label, class_ in enumerate(classes, start=1):
        new_label.append(label if is_thing[class_] else stuff.setdefault(class_, label))
    return Classified(np.array(new_label, np.int64)[labels], dict(enumerate(classes, start=1)))
