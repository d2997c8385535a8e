"""How COCO's and LVIS's masks of an image become one set with parts (Sofiiuk et al. 2021).

Input: masks of COCO's things, of LVIS's objects and of stuff. Idea: the rule of arXiv:2102.06583's
annotations. Steps: (1) a thing that LVIS has too is taken once (`unite`); (2)
the parent of a mask is the smallest larger mask that holds most of it (`parents_by_overlap`); (3)
stuff loses the pixels of instances (`without`). Cost: one comparison for each pair of masks.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pycocotools import mask as coco

from maskspace.data.annotations import Coded
from maskspace.masks import decode
from maskspace.masks.coded import decode_runs, encode_runs
from maskspace.masks.runs import boxes_of_runs, label_map_runs

#: Fewest pixels of an instance.
MIN_INSTANCE = 80
#: Boxes of one object agree by more than this; a part has at least this share of its box in its
#: parent's box.
MIN_BOX = 0.7


def unite(things: list[Coded], lvis: list[Coded], size_hw: tuple[int, int]) -> list[Coded]:
    """Return the things that LVIS does not have, then LVIS's masks without near-duplicates.

    Masks below 80 pixels are dropped first. Two numbers compare a pair of masks: the product of the
    IoU of their column spans and the IoU of their row spans, and the IoU of the masks. LVIS has a
    thing where both are above 0.7 for one of its masks. Two masks of LVIS are duplicates where the
    first is above 0.7 and the second above 0.85; the later mask stays.

    Args:
        things: COCO's things.
        lvis: LVIS's masks.
        size_hw: rows and columns of the image.

    Example:
        >>> from maskspace.masks import encode
        >>> masks = np.zeros((2, 20, 20), bool)
        >>> masks[0, :10], masks[1, 10:] = True, True
        >>> upper, lower = (Coded(counts=counts) for counts in encode(masks))
        >>> len(unite([upper], [upper, lower], (20, 20)))  # LVIS has COCO's thing too
        2
    """
    things, lvis = (
        [masks[i] for i in np.flatnonzero(_areas(_strings(masks), size_hw) >= MIN_INSTANCE)]
        for masks in (things, lvis)
    )
    of_things, of_lvis = _strings(things), _strings(lvis)
    is_known = _same(of_things, of_lvis, size_hw, iou=0.7).any(axis=1)
    is_repeated = np.triu(_same(of_lvis, of_lvis, size_hw, iou=0.85), k=1).any(axis=1)
    return [
        masks[i]
        for masks, is_dropped in ((things, is_known), (lvis, is_repeated))
        for i in np.flatnonzero(~is_dropped)
    ]


def _same(
    left: list[str], right: list[str], size_hw: tuple[int, int], *, iou: float
) -> Bool[np.ndarray, "n m"]:
    """Return which pairs are one object: boxes agree, and the IoU of the masks is above `iou`."""
    shared = intersections(left, right, size_hw)
    union = _areas(left, size_hw)[:, None] + _areas(right, size_hw)[None] - shared
    left_boxes, right_boxes = (
        boxes_of_runs(decode_runs(masks, size_hw), size_hw) for masks in (left, right)
    )
    columns, rows = (
        _span_iou(left_boxes[:, i], left_boxes[:, i + 2], right_boxes[:, i], right_boxes[:, i + 2])
        for i in (0, 1)
    )
    return (columns * rows > MIN_BOX) & (shared / np.maximum(union, 1) > iou)


def _span_iou(
    start: Int64[np.ndarray, " n"],
    length: Int64[np.ndarray, " n"],
    other: Int64[np.ndarray, " m"],
    other_length: Int64[np.ndarray, " m"],
) -> Float64[np.ndarray, "n m"]:
    ends, other_ends = (start + length)[:, None], (other + other_length)[None]
    shared = np.minimum(ends, other_ends) - np.maximum(start[:, None], other[None])
    shared = np.maximum(shared, 0)
    return shared / np.maximum(length[:, None] + other_length[None] - shared, 1)


def parents_by_overlap(counts: list[str], size_hw: tuple[int, int]) -> list[int | None]:
    """Return for each mask the index of its parent, or None.

    The parent is the smallest larger mask that holds more than 0.8 of the mask's pixels and at
    least 0.7 of its box. Of two masks with equal areas the later one counts as the larger.

    Example:
        >>> from maskspace.masks import encode
        >>> masks = np.zeros((2, 20, 20), bool)
        >>> masks[0, :10], masks[1, :5] = True, True
        >>> parents_by_overlap(encode(masks), (20, 20))
        [None, 0]
    """
    area = _areas(counts, size_hw)
    shared = intersections(counts, counts, size_hw)
    boxes = boxes_of_runs(decode_runs(counts, size_hw), size_hw)
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    overlap = np.minimum(end[:, None], end[None]) - np.maximum(start[:, None], start[None])
    box_area = np.maximum(boxes[:, 2:].prod(axis=1), 1)
    covered = np.maximum(overlap, 0).prod(axis=2) / box_area[:, None]
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(area, kind="stable")] = np.arange(len(counts))
    is_held = (shared > 0.8 * area[:, None]) & (covered >= MIN_BOX) & (rank[:, None] < rank[None])
    ranked = np.where(is_held, rank[None], len(counts))
    nearest = ranked.argmin(axis=1) if len(counts) else ()
    return [int(parent) if is_held[i, parent] else None for i, parent in enumerate(nearest)]


def without(
    masks: list[Coded], removed: list[Coded], size_hw: tuple[int, int], *, above: int
) -> list[Coded]:
    """Return disjoint masks less the pixels of the `removed` masks.

    Args:
        masks: where two overlap, the later one has the pixels.
        removed: the masks to take away.
        size_hw: rows and columns of the image.
        above: a mask is returned if more pixels than this are left of it.

    Example:
        >>> from maskspace.masks import encode
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0], masks[1, :2] = True, True
        >>> whole, upper = (Coded(counts=counts) for counts in encode(masks))
        >>> (rest,) = without([whole], [upper], (4, 4), above=0)
        >>> decode([rest.counts], (4, 4)).sum().item()
        8
    """
    labels = np.zeros(size_hw, np.int64)
    for number, one in enumerate(masks, start=1):
        labels[decode([one.counts], size_hw)[0]] = number
    for one in removed:
        labels[decode([one.counts], size_hw)[0]] = 0
    numbers, runs = label_map_runs(labels)
    large = np.flatnonzero(runs.areas() > above).tolist()
    rest = encode_runs(runs, size_hw)
    return [replace(masks[int(numbers[i]) - 1], counts=rest[i]) for i in large]


def intersections(
    left: list[str], right: list[str], size_hw: tuple[int, int]
) -> Int64[np.ndarray, "n m"]:
    """Return the number of pixels that each left mask shares with each right mask, exactly.

    Example:
        >>> from maskspace.masks import encode
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0], masks[1, :2] = True, True
        >>> intersections(encode(masks), encode(masks), (4, 4)).tolist()
        [[16, 8], [8, 8]]
    """
    if not left or not right:
        return np.zeros((len(left), len(right)), np.int64)
    # pycocotools divides by the area of the left mask alone where the right one is a crowd
    share = coco.iou(_objects(left, size_hw), _objects(right, size_hw), [1] * len(right))  # pyright: ignore[reportArgumentType]
    return np.rint(np.asarray(share) * _areas(left, size_hw)[:, None]).astype(np.int64)


def _strings(masks: list[Coded]) -> list[str]:
    return [one.counts for one in masks]


def _areas(counts: list[str], size_hw: tuple[int, int]) -> Int64[np.ndarray, " n"]:
    return decode_runs(counts, size_hw).areas()


def _objects(counts: list[str], size_hw: tuple[int, int]) -> list[dict[str, object]]:
    return [{"size": list(size_hw), "counts": string.encode("ascii")} for string in counts]
