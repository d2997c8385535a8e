"""Masks to annotations: run lengths, boxes, nesting; components split; duplicates dropped."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from maskspace.masks import areas, boxes_xywh, decode, encode, nesting_parents
from maskspace.types import Annotation, Sample

#: A mask lies in another when this share of its pixels does: SA-1B's masks overlap by slivers.
CONTAINMENT = 0.95


def annotate(
    masks: Bool[np.ndarray, "n h w"],
    *,
    scores: Sequence[float] | None = None,
    containment: float = CONTAINMENT,
) -> tuple[Annotation, ...]:
    """Return annotations with ids from 1 in the order of the masks, exact duplicates dropped.

    Of equal masks the first stays, with the highest of their scores. The parent of a mask is the
    smallest larger one that holds at least `containment` of it. Raises ValueError for an empty
    mask, which marks nothing.
    """
    best: dict[str, float] = {}
    first: list[int] = []
    for index, counts in enumerate(encode(masks)):
        if counts not in best:
            first.append(index)
        best[counts] = max(best.get(counts, 0.0), 1.0 if scores is None else scores[index])
    kept = masks[first]
    area, boxes = areas(kept), boxes_xywh(kept)
    if not area.all():
        raise ValueError(f"mask {first[int(area.argmin())] + 1} is empty; remove it")
    return tuple(
        Annotation(
            id=index + 1,
            counts=counts,
            area=int(area[index]),
            box_xywh=(
                int(boxes[index, 0]),
                int(boxes[index, 1]),
                int(boxes[index, 2]),
                int(boxes[index, 3]),
            ),
            parent=None if parent is None else parent + 1,
            score=score,
        )
        for index, ((counts, score), parent) in enumerate(
            zip(best.items(), nesting_parents(kept, containment=containment), strict=True)
        )
    )


def refine(
    sample: Sample, *, split_components: bool, min_component_area: int, containment: float
) -> Sample:
    """Return the sample with nesting at `containment`, its masks split in components if asked to.

    Splitting puts each 4-connected component of a mask in the mask's place, in row-major order of
    its first pixel, and drops components of fewer than `min_component_area` pixels. Annotations to
    ignore stay as they are, after the others.
    """
    if not split_components and containment == CONTAINMENT:
        return sample
    counted = [a for a in sample.annotations if not a.ignore]
    masks = decode([a.counts for a in counted], sample.size_hw)
    scores = [a.score for a in counted]
    if split_components:
        masks, scores = _components(masks, scores, min_component_area)
    annotations = annotate(masks, scores=scores, containment=containment)
    ignored = (a for a in sample.annotations if a.ignore)
    renumbered = (replace(a, id=len(annotations) + i) for i, a in enumerate(ignored, start=1))
    return replace(sample, annotations=(*annotations, *renumbered))


def _components(
    masks: Bool[np.ndarray, "n h w"], scores: list[float], min_area: int
) -> tuple[Bool[np.ndarray, "m h w"], list[float]]:
    pieces: list[np.ndarray] = []
    kept: list[float] = []
    for mask, score in zip(masks, scores, strict=True):
        components = np.empty(mask.shape, np.int32)
        ndimage.label(mask, output=components)
        sizes = np.bincount(components.ravel())
        large = [label for label in range(1, len(sizes)) if sizes[label] >= min_area]
        pieces += [components == label for label in large]
        kept += [score] * len(large)
    return np.array(pieces, bool).reshape(-1, *masks.shape[1:]), kept
