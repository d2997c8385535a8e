"""What is shown of some images: input, truth, each model's regions and its features."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from maskspace import masks
from maskspace.data.clicks import center_click
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter
from maskspace.shown import shrunk_array
from maskspace.types import shrink_image

#: Longest side in pixels of what is kept of an image, and of its features.
SIDE, FEATURE_SIDE = 768, 192
#: Characters of a model's name over its columns: of a folder's path, the end tells most.
LONGEST_NAME = 16

Column = list[np.ndarray]


def gallery_columns(
    truths: Sequence[Truth], models: Mapping[str, Segmenter], *, count: int
) -> dict[tuple[str, str], Column]:
    """Return columns by title and kind ("image", "labels" or "features"): an array for each truth.

    A model that makes partitions is shown with as many regions as the truth has. A model that
    proposes is shown with the best of its first `count` proposals for each true mask, in the mask's
    colour. Any other model is shown with its answer to a click at each mask's centre.

    Example:
        >>> from maskspace.types import Prediction
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> class Whole(Segmenter):  # answers every question with the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose", "click"})
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        ...     def click(self, image, clicks):
        ...         return np.ones(image.shape[:2], bool)
        >>> list(gallery_columns([truth], {"whole": Whole()}, count=10))
        [('input', 'image'), ('truth', 'labels'), ('whole: best of 10', 'labels')]
    """
    columns: dict[tuple[str, str], Column] = {
        ("input", "image"): [shrink_image(truth.image, max_side=SIDE) for truth in truths],
        ("truth", "labels"): [
            shrunk_array(masks.to_label_map(truth.masks), SIDE) for truth in truths
        ],
    }
    for name, model in models.items():
        columns |= _model_columns(name, model, truths, count)
    return columns


def _model_columns(
    name: str, model: Segmenter, truths: Sequence[Truth], count: int
) -> dict[tuple[str, str], Column]:
    """Return the columns that a model can fill."""
    columns = {}
    name = name if len(name) <= LONGEST_NAME else f"…{name[-LONGEST_NAME:]}"
    ways: dict[str, Callable[[Segmenter, Truth], Int[np.ndarray, "h w"]]] = {
        "partition": _partition,
        f"best of {count}": partial(_best_of, count=count),
        "centre clicks": _clicked,
    }
    for way, answer in ways.items():
        try:
            answers = [answer(model.of_image(truth.key), truth) for truth in truths]
        except ValueError:  # not this way: the next
            continue
        for truth, labels in zip(truths, answers, strict=True):
            truth.require_size(labels.shape, f"{truth.key}: {name} partitions into regions")
        columns[f"{name}: {way}", "labels"] = [shrunk_array(labels, SIDE) for labels in answers]
        break
    try:
        columns[f"{name}: features", "features"] = [_features(model, truth) for truth in truths]
    except ValueError:
        return columns
    return columns


def _partition(model: Segmenter, truth: Truth) -> Int[np.ndarray, "h w"]:
    shown = masks.to_label_map(truth.masks)
    return model.hierarchy(truth.image).partition(len(np.unique(shown)))


def _best_of(model: Segmenter, truth: Truth, *, count: int) -> Int[np.ndarray, "h w"]:
    proposed = model.propose(truth.image, limit=count).masks
    if len(proposed) == 0 or len(truth.masks) == 0:
        return np.zeros(truth.ignore.shape, np.int64)
    best = masks.pairwise_iou(proposed, truth.masks).argmax(axis=0)
    return masks.to_label_map(proposed[best])


def _clicked(model: Segmenter, truth: Truth) -> Int[np.ndarray, "h w"]:
    clicked = [model.click(truth.image, [center_click(mask)]) for mask in truth.masks]
    return masks.to_label_map(np.reshape(clicked, truth.masks.shape))


def _features(model: Segmenter, truth: Truth) -> Float[np.ndarray, "c h w"]:
    levels = model.embed(truth.image).levels
    return shrunk_array(levels[min(levels)], FEATURE_SIDE)
