"""Masks to annotations: run lengths, boxes, nesting; components split; duplicates dropped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from maskspace.masks.coded import decode_runs, encode, encode_runs
from maskspace.masks.nesting import nesting_parents
from maskspace.masks.runs import boxes_of_runs, component_runs
from maskspace.prediction import NO_CLASS, Prediction
from maskspace.types import Annotation, Category, Sample

#: A mask lies in another when this share of its pixels does: SA-1B's masks overlap by slivers.
CONTAINMENT = 0.95


@dataclass(frozen=True, kw_only=True)
class Coded:
    """A mask on its way to an annotation.

    counts: COCO's run-length string.
    score: the source's confidence (default 1).
    layer: who drew it (default 0).
    ignore: whether its pixels count in no metric and no loss (default False).
    category: id in the dataset's table of categories (default None).

    Example:
        >>> counts = encode(np.ones((1, 2, 2), bool))[0]
        >>> Coded(counts=counts, score=0.9).ignore
        False
    """

    counts: str
    score: float = 1.0
    layer: int = 0
    ignore: bool = False
    category: int | None = None


def annotate(
    masks: Bool[np.ndarray, "n h w"],
    *,
    scores: Sequence[float] | None = None,
    containment: float = CONTAINMENT,
) -> tuple[Annotation, ...]:
    """Return annotations of dense masks with ids from 1, as `annotate_coded` does.

    Example:
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0, :3], masks[1, :2, :2] = True, True  # the second lies in the first
        >>> [(one.id, one.area, one.parent) for one in annotate(masks)]
        [(1, 12, None), (2, 4, 1)]
    """
    coded = [
        Coded(counts=counts, score=1.0 if scores is None else scores[index])
        for index, counts in enumerate(encode(masks))
    ]
    return annotate_coded(coded, masks.shape[1:], containment=containment)


def annotate_proposals(
    found: Prediction, *, categories: Sequence[Category] = ()
) -> tuple[Annotation, ...]:
    """Return annotations of proposals with ids from 1, as `annotate_coded` does.

    If the prediction has classes, a mask of class k gets the category `categories[k]`.

    Example:
        >>> masks, scores = np.ones((1, 2, 2), bool), np.array([0.9], np.float32)
        >>> proposals = Prediction(masks, scores, np.array([1]))
        >>> table = (Category(id=7, name="sky"), Category(id=9, name="car"))
        >>> annotate_proposals(proposals, categories=table)[0].category  # class 1 is the second row
        9
    """
    classes = [NO_CLASS] * len(found) if found.classes is None else found.classes.tolist()
    coded = [
        Coded(counts=counts, score=score, category=categories[one].id if one >= 0 else None)
        for counts, score, one in zip(found.counts, found.scores.tolist(), classes, strict=True)
    ]
    return annotate_coded(coded, found.size_hw)


def annotate_coded(
    coded: Sequence[Coded], size_hw: tuple[int, int], *, containment: float = CONTAINMENT
) -> tuple[Annotation, ...]:
    """Return annotations with ids from 1: the masks in their order, then those to ignore.

    Of equal masks of one layer, the one with the highest score stays; of equal scores the first.
    The parent of a mask is the smallest larger mask, of any layer, that holds at least the share
    `containment` of it. Masks to ignore have no parent and are none. ValueError for an empty mask,
    and for strings that do not fit the size.

    Args:
        coded: the masks.
        size_hw: height and width of the image.
        containment: the share, in (0, 1] (default 0.95).

    Example:
        >>> counts = encode(np.ones((1, 2, 2), bool))[0]
        >>> twice = [Coded(counts=counts, score=0.5), Coded(counts=counts, score=0.9)]
        >>> [one.score for one in annotate_coded(twice, (2, 2))]  # of equal masks the surest stays
        [0.9]
    """
    best: dict[tuple[str, int, bool], Coded] = {}
    for one in sorted(coded, key=lambda one: one.ignore):
        key = (one.counts, one.layer, one.ignore)
        best[key] = max(best.get(key, one), one, key=lambda other: other.score)
    distinct = list(best.values())
    counts = [one.counts for one in distinct]
    runs = decode_runs(counts, size_hw)
    area, boxes = runs.areas(), boxes_of_runs(runs, size_hw)
    if not area.all():
        empty = counts[int(area.argmin())]
        raise ValueError(
            f"mask {[one.counts for one in coded].index(empty) + 1} is empty; remove it"
        )
    number = sum(not one.ignore for one in distinct)
    parents = nesting_parents(counts[:number], size_hw, area[:number], containment=containment)
    parents += [None] * (len(distinct) - number)
    return tuple(
        Annotation(
            id=index + 1,
            counts=one.counts,
            area=int(area[index]),
            box_xywh=(x, y, w, h),
            parent=None if parent is None else parent + 1,
            score=one.score,
            ignore=one.ignore,
            layer=one.layer,
            category=one.category,
        )
        for index, (one, parent, (x, y, w, h)) in enumerate(
            zip(distinct, parents, boxes.tolist(), strict=True)
        )
    )


def refine(
    sample: Sample, *, split_components: bool, min_component_area: int, containment: float
) -> Sample:
    """Return the sample with nesting computed anew, and its masks split in components if asked.

    Each 4-connected component of a mask takes the mask's place, in row-major order of its first
    pixel. Annotations to ignore stay as they are, after the others.

    Args:
        sample: the sample.
        split_components: whether masks are split.
        min_component_area: components of fewer pixels are dropped.
        containment: see `annotate_coded`.

    Example:
        >>> mask = np.array([[[1, 0, 1], [1, 0, 0]]], bool)  # two components
        >>> sample = Sample(
        ...     key="a",
        ...     dataset="toy",
        ...     image=b"",
        ...     extension="png",
        ...     size_hw=(2, 3),
        ...     annotations=annotate(mask),
        ... )
        >>> split = refine(sample, split_components=True, min_component_area=1, containment=0.95)
        >>> [one.area for one in split.annotations]
        [2, 1]
    """
    if not split_components and containment == CONTAINMENT:
        return sample
    coded = [
        Coded(counts=a.counts, score=a.score, layer=a.layer, ignore=a.ignore, category=a.category)
        for a in sample.annotations
    ]
    if split_components:
        coded = _components(coded, sample.size_hw, min_component_area)
    return replace(
        sample, annotations=annotate_coded(coded, sample.size_hw, containment=containment)
    )


def _components(coded: list[Coded], size_hw: tuple[int, int], min_area: int) -> list[Coded]:
    counted = [one for one in coded if not one.ignore]
    runs = decode_runs([one.counts for one in counted], size_hw)
    components, owner = component_runs(runs, size_hw, min_area=min_area)
    pieces = encode_runs(components, size_hw)
    split = [
        replace(counted[index], counts=counts)
        for counts, index in zip(pieces, owner.tolist(), strict=True)
    ]
    return split + [one for one in coded if one.ignore]
