"""What the masks of one record are, measured on their run lengths: no dense mask is ever made.

Time and memory grow with the length of the outlines, whatever size the record claims.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from pycocotools import mask as coco

from maskspace.masks.coded import decode_runs, encode_runs
from maskspace.masks.runs import Runs, boxes_of_runs
from maskspace.types import MAX_PIXELS, Annotation

#: Characters of run lengths that are decoded in one go, some 100 bytes each in between.
_CHARACTERS = 1 << 21
#: Masks of about its size that a mask is compared with to find near copies.
_CANDIDATES = 2048
_ROWS = 256
#: Masks that are merged at a time.
_MERGED = 8

Columns = dict[str, np.ndarray]
BOX = ("x", "y", "columns", "rows")


@dataclass(frozen=True)
class MeasuredTables:
    """The mask columns of one record, and what its masks are together.

    `overlap` counts the pixels beyond one mask a pixel in each layer; `coverage` is the least share
    of the image that a layer's masks and what is to ignore cover; `depth` counts the levels of the
    nest, 0 where parents make a circle (then `nest_ends` is false).
    """

    masks: Columns
    overlap: int
    coverage: float
    depth: int
    nest_ends: bool


def measure(
    annotations: Sequence[Annotation], size_hw: tuple[int, int], *, near_iou: float
) -> MeasuredTables:
    """Return what the masks of a record say of themselves, beside what the record says of them.

    A mask whose run lengths do not fit the size is held to be what the record says of it, so that
    nothing else is counted against it. Near copies are masks of one layer with an IoU of at least
    `near_iou`.

    Example:
        >>> measure([], (4, 6), near_iou=0.9).depth
        0
    """
    columns = _said(annotations)
    fits, canonical, area, boxes = _decoded([a.counts for a in annotations], size_hw)
    columns |= {"fits": fits, "canonical": canonical | ~fits}
    columns["counted_area"] = np.where(fits, area, columns["area"])
    for axis, side in enumerate(BOX):
        columns[f"tight_{side}"] = np.where(fits, boxes[:, axis], columns[f"box_{side}"])
    corners = fits & (area > 0)
    for axis in (2, 3):
        corners &= columns[f"box_{BOX[axis]}"] == boxes[:, axis] - 1
    columns["counts_pixels"] = ~corners
    columns["has_outside"] = ~fits | (area < size_hw[0] * size_hw[1])
    rles = [
        _rle(a.counts, size_hw) if ok else None for a, ok in zip(annotations, fits, strict=True)
    ]
    counted = fits & ~columns["ignore"] & (area > 0)
    columns |= _copies(annotations, counted, area, boxes, rles, near_iou)
    parent = _parents(annotations)
    columns |= _against_parents(annotations, parent, fits & (area > 0), area, rles)
    depth = _depth(parent)
    overlap, coverage = _layers(columns["layer"], counted, fits & columns["ignore"], area, rles)
    return MeasuredTables(
        masks=columns,
        overlap=overlap,
        coverage=coverage / (size_hw[0] * size_hw[1]),
        depth=depth,
        nest_ends=depth > 0 or not len(annotations),
    )


def _said(annotations: Sequence[Annotation]) -> Columns:
    """Return what the record says of its masks, and what follows from that alone."""
    ids = np.array([a.id for a in annotations], np.int64)
    boxes = np.array([a.box_xywh for a in annotations], np.int64).reshape(-1, 4)
    score = np.array([a.score for a in annotations], np.float64)
    first = np.zeros(len(ids), bool)
    first[np.unique(ids, return_index=True)[1]] = True
    return {
        "id": ids,
        "id_is_unique": first,
        "area": np.array([a.area for a in annotations], np.int64),
        # a missing value would break no expectation
        "score": np.where(np.isnan(score), np.inf, score),
        "ignore": np.array([a.ignore for a in annotations], bool),
        "layer": np.array([a.layer for a in annotations], np.int64),
        **{f"box_{side}": boxes[:, axis] for axis, side in enumerate(BOX)},
    }


def _decoded(
    counts: list[str], size_hw: tuple[int, int]
) -> tuple[
    Bool[np.ndarray, " n"],
    Bool[np.ndarray, " n"],
    Int64[np.ndarray, " n"],
    Int64[np.ndarray, "n 4"],
]:
    """Return of each string whether it fits the size and is canonical, its area and its box."""
    fits, canonical = np.zeros(len(counts), bool), np.zeros(len(counts), bool)
    area, boxes = np.zeros(len(counts), np.int64), np.zeros((len(counts), 4), np.int64)
    if size_hw[0] * size_hw[1] > MAX_PIXELS:
        return fits, canonical, area, boxes
    for block in _blocks([len(one) for one in counts]):
        for part, runs in _fitting(counts, block, size_hw):
            fits[part] = True
            coded = encode_runs(runs, size_hw)
            canonical[part] = [a == counts[i] for a, i in zip(coded, part, strict=True)]
            area[part], boxes[part] = runs.areas(), boxes_of_runs(runs, size_hw)
    return fits, canonical, area, boxes


def _blocks(lengths: list[int]) -> Iterator[range]:
    """Yield ranges of strings of at most `_CHARACTERS` together, or of one that is longer."""
    cuts, held = [0], 0
    for index, length in enumerate(lengths):
        if held and held + length > _CHARACTERS:
            cuts.append(index)
            held = 0
        held += length
    return (range(a, b) for a, b in pairwise([*cuts, len(lengths)]) if a < b)


def _fitting(
    counts: list[str], block: range, size_hw: tuple[int, int]
) -> Iterator[tuple[range, Runs]]:
    """Yield the runs of a block: all at once, or of one string at a time where one does not fit."""
    try:
        runs = decode_runs([counts[i] for i in block], size_hw)
    except ValueError:
        if len(block) > 1:
            for i in block:
                yield from _fitting(counts, range(i, i + 1), size_hw)
        return
    yield block, runs


def _rle(counts: str, size_hw: tuple[int, int]) -> dict:
    return {"size": list(size_hw), "counts": counts.encode("ascii")}


def _copies(
    annotations: Sequence[Annotation],
    counted: Bool[np.ndarray, " n"],
    area: Int64[np.ndarray, " n"],
    boxes: Int64[np.ndarray, "n 4"],
    rles: list,
    near_iou: float,
) -> Columns:
    """Return for each mask the id of an earlier equal, or nearly equal, one of its layer; or -1."""
    copy_of, near = np.full(len(area), -1), np.full(len(area), -1)
    first: dict[tuple[str, int], int] = {}
    for index in np.flatnonzero(counted).tolist():
        one = annotations[index]
        copy_of[index] = first.setdefault((one.counts, one.layer), index)
    copy_of[copy_of == np.arange(len(area))] = -1
    layer = np.array([a.layer for a in annotations], np.int64)
    kept = np.flatnonzero(counted & (copy_of < 0))
    for a, others in _candidates(kept, area, boxes, layer, near_iou):
        iou = np.ravel(coco.iou([rles[b] for b in others], [rles[a]], [0]))
        for b in others[iou >= near_iou].tolist():
            near[max(a, b)] = min(a, b)
    ids = np.array([a.id for a in annotations] + [-1], np.int64)
    return {"copy_of": ids[copy_of], "near_copy_of": ids[near]}


def _candidates(
    kept: Int64[np.ndarray, " m"],
    area: Int64[np.ndarray, " n"],
    boxes: Int64[np.ndarray, "n 4"],
    layer: Int64[np.ndarray, " n"],
    near_iou: float,
) -> Iterator[tuple[int, Int64[np.ndarray, " k"]]]:
    """Yield masks with those, not smaller, that may have an IoU of `near_iou` with them.

    The smaller area is at least that share of the larger, and so is what their boxes share.
    """
    ranked = kept[np.argsort(area[kept], kind="stable")]
    size = area[ranked]
    ends = np.searchsorted(size, size / near_iou * (1 + 1e-12), side="right")
    low, high = boxes[ranked, :2], boxes[ranked, :2] + boxes[ranked, 2:]
    for begin in range(0, len(ranked), _ROWS):
        rows = np.arange(begin, min(begin + _ROWS, len(ranked)))
        number = np.minimum(ends[rows] - rows - 1, _CANDIDATES)
        a = np.repeat(rows, number)
        b = a + 1 + np.arange(len(a)) - np.repeat(np.cumsum(number) - number, number)
        sides = np.minimum(high[a], high[b]) - np.maximum(low[a], low[b])
        shared = np.maximum(sides, 0).prod(axis=1)
        near = (shared >= near_iou * size[b]) & (layer[ranked[a]] == layer[ranked[b]])
        a, b = a[near], b[near]
        starts = np.flatnonzero(np.diff(a, prepend=-1))
        for start, end in pairwise([*starts.tolist(), len(a)]):
            yield int(ranked[a[start]]), ranked[b[start:end]]


def _parents(annotations: Sequence[Annotation]) -> Int64[np.ndarray, " n"]:
    """Return the index of each mask's parent, -1 for none and -2 for an id that is not there."""
    place = {a.id: index for index, a in enumerate(annotations)}
    parents = [-1 if a.parent is None else place.get(a.parent, -2) for a in annotations]
    return np.array(parents, np.int64)


def _against_parents(
    annotations: Sequence[Annotation],
    parent: Int64[np.ndarray, " n"],
    solid: Bool[np.ndarray, " n"],
    area: Int64[np.ndarray, " n"],
    rles: list,
) -> Columns:
    """Return whether each parent is there and larger, and the share of the mask that is in it."""
    held = np.flatnonzero((parent >= 0) & solid & solid[np.maximum(parent, 0)])
    inside = np.ones(len(parent))
    larger = np.ones(len(parent), bool)
    larger[held] = area[parent[held]] > area[held]
    order = held[np.argsort(parent[held], kind="stable")]
    starts = np.flatnonzero(np.diff(parent[order], prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(order)]):
        children = order[start:end]
        holder = rles[parent[children[0]]]
        inside[children] = np.ravel(coco.iou([rles[i] for i in children], [holder], [1]))
    return {"parent_known": parent != -2, "inside_parent": inside, "parent_is_larger": larger}


def _depth(parent: Int64[np.ndarray, " n"]) -> int:
    """Return the number of levels of the nest, 0 if parents make a circle; each step doubles."""
    root = len(parent)
    above = np.append(np.where(parent < 0, root, parent), root)
    steps = (above != root).astype(np.int64)
    for _ in range(max(1, root.bit_length())):
        steps, above = steps + steps[above], above[above]
    if (above != root).any():
        return 0
    return int(steps.max(initial=0)) + (1 if root else 0)


def _layers(
    layer: Int64[np.ndarray, " n"],
    counted: Bool[np.ndarray, " n"],
    ignored: Bool[np.ndarray, " n"],
    area: Int64[np.ndarray, " n"],
    rles: list,
) -> tuple[int, float]:
    """Return the pixels that are marked twice in a layer, and the least that a layer covers."""
    overlap, covered = 0, []
    band = [rles[i] for i in np.flatnonzero(ignored)]
    for number in np.unique(layer[counted]):
        chosen = np.flatnonzero(counted & (layer == number))
        union = _union([rles[i] for i in chosen])
        overlap += int(area[chosen].sum()) - int(coco.area(union))
        covered.append(int(coco.area(coco.merge([union, *band]))) if band else coco.area(union))
    return overlap, float(min(covered, default=0))


def _union(rles: list) -> Any:
    """Return the union of masks, some at a time: one after the other would walk it for each."""
    while len(rles) > 1:
        rles = [coco.merge(rles[i : i + _MERGED]) for i in range(0, len(rles), _MERGED)]
    return rles[0]
