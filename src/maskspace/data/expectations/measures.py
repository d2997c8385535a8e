"""Measure the masks of one record on their run lengths: no dense mask is ever made.

Input: the annotations of a record and the size that it claims.
Idea: run lengths suffice for areas, boxes, unions and IoU (`masks.runs`, pycocotools).
Steps: take what the record says (`_stated`); decode the run lengths and compare (`_decoded`); find
    copies (`_copies`); compare with the parents (`_against_parents`); sum up layers (`_layers`).
Cost: time and memory grow with the length of the outlines, whatever size the record claims.
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

#: Characters of run lengths that are decoded at a time; each takes some 100 bytes meanwhile.
_CHARACTERS = 1 << 21
#: The most masks of about its size that a mask is compared with to find near copies.
_CANDIDATES = 2048
#: Masks whose candidates are looked for at a time.
_ROWS = 256
#: Masks that are merged at a time.
_MERGED = 8

Columns = dict[str, np.ndarray]
BOX = ("x", "y", "columns", "rows")


@dataclass(frozen=True)
class MeasuredTables:
    """The mask columns of one record, and what its masks are together.

    masks: name of a column -> a value for each mask.
    overlap: for each layer the sum of the areas minus the area of the union, summed; in pixels.
    coverage: the least share of the image, in [0, 1], that the masks of a layer cover together with
        the masks to ignore.
    depth: levels of nested masks; 0 where parents make a circle.
    nest_ends: whether no parents make a circle.

    Example:
        >>> from maskspace.data.annotations import annotate
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0, :3], masks[1, 1:] = True, True  # both have the two middle rows
        >>> measured = measure(annotate(masks), (4, 4), near_iou=0.9)
        >>> measured.overlap, measured.coverage
        (8, 1.0)
        >>> measured.masks["counted_area"].tolist()
        [12, 12]
    """

    masks: Columns
    overlap: int
    coverage: float
    depth: int
    nest_ends: bool


def measure(
    annotations: Sequence[Annotation], size_hw: tuple[int, int], *, near_iou: float
) -> MeasuredTables:
    """Return what the run lengths of a record's masks say, beside what the record says of them.

    Where the run lengths of a mask do not fit the size, its measured values are those that the
    record states, so that only the misfit is reported.

    Args:
        annotations: the masks of the record.
        size_hw: height and width that the record states, in pixels.
        near_iou: masks of one layer with at least this IoU are near copies, in (0.5, 1].

    Example:
        >>> measure([], (4, 6), near_iou=0.9).depth
        0
    """
    columns = _stated(annotations)
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


def _stated(annotations: Sequence[Annotation]) -> Columns:
    """Return what the record states of its masks, and what follows from that alone."""
    ids = np.array([a.id for a in annotations], np.int64)
    boxes = np.array([a.box_xywh for a in annotations], np.int64).reshape(-1, 4)
    score = np.array([a.score for a in annotations], np.float64)
    is_first = np.zeros(len(ids), bool)
    is_first[np.unique(ids, return_index=True)[1]] = True
    return {
        "id": ids,
        "id_is_unique": is_first,
        "area": np.array([a.area for a in annotations], np.int64),
        # Great Expectations skips missing values: NaN would break no expectation
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
    """Return for each string whether it fits the size, whether it is canonical, area and box."""
    fits, canonical = np.zeros(len(counts), bool), np.zeros(len(counts), bool)
    area, boxes = np.zeros(len(counts), np.int64), np.zeros((len(counts), 4), np.int64)
    if size_hw[0] * size_hw[1] > MAX_PIXELS:
        return fits, canonical, area, boxes
    for block in _blocks([len(string) for string in counts]):
        for indices, runs in _fitting(counts, block, size_hw):
            fits[indices] = True
            encoded_again = encode_runs(runs, size_hw)
            canonical[indices] = [
                again == counts[index] for again, index in zip(encoded_again, indices, strict=True)
            ]
            area[indices], boxes[indices] = runs.areas(), boxes_of_runs(runs, size_hw)
    return fits, canonical, area, boxes


def _blocks(lengths: list[int]) -> Iterator[range]:
    """Return ranges of strings that have at most `_CHARACTERS` together, or one longer string."""
    cuts, characters = [0], 0
    for index, length in enumerate(lengths):
        if characters and characters + length > _CHARACTERS:
            cuts.append(index)
            characters = 0
        characters += length
    return (range(a, b) for a, b in pairwise([*cuts, len(lengths)]) if a < b)


def _fitting(
    counts: list[str], block: range, size_hw: tuple[int, int]
) -> Iterator[tuple[range, Runs]]:
    """Yield the runs of a block: all at once, or string by string if one of them does not fit."""
    try:
        runs = decode_runs([counts[i] for i in block], size_hw)
    except ValueError:
        if len(block) > 1:
            for i in block:
                yield from _fitting(counts, range(i, i + 1), size_hw)
        return
    yield block, runs


def _rle(counts: str, size_hw: tuple[int, int]) -> dict:
    """Return run lengths as pycocotools takes them."""
    return {"size": list(size_hw), "counts": counts.encode("ascii")}


def _copies(
    annotations: Sequence[Annotation],
    counted: Bool[np.ndarray, " n"],
    area: Int64[np.ndarray, " n"],
    boxes: Int64[np.ndarray, "n 4"],
    rles: list,
    near_iou: float,
) -> Columns:
    """Return for each mask the id of an earlier copy, and near copy, in its layer; or -1."""
    copy_of, near_copy_of = np.full(len(area), -1), np.full(len(area), -1)
    first: dict[tuple[str, int], int] = {}
    for index in np.flatnonzero(counted).tolist():
        annotation = annotations[index]
        copy_of[index] = first.setdefault((annotation.counts, annotation.layer), index)
    copy_of[copy_of == np.arange(len(area))] = -1
    layer = np.array([a.layer for a in annotations], np.int64)
    distinct = np.flatnonzero(counted & (copy_of < 0))
    for mask, others in _candidates(distinct, area, boxes, layer, near_iou):
        iou = np.ravel(coco.iou([rles[other] for other in others], [rles[mask]], [0]))
        for other in others[iou >= near_iou].tolist():
            near_copy_of[max(mask, other)] = min(mask, other)
    ids = np.array([a.id for a in annotations] + [-1], np.int64)
    return {"copy_of": ids[copy_of], "near_copy_of": ids[near_copy_of]}


def _candidates(
    distinct: Int64[np.ndarray, " m"],
    area: Int64[np.ndarray, " n"],
    boxes: Int64[np.ndarray, "n 4"],
    layer: Int64[np.ndarray, " n"],
    near_iou: float,
) -> Iterator[tuple[int, Int64[np.ndarray, " k"]]]:
    """Yield masks, each with the masks that may have an IoU of `near_iou` with it.

    Input: areas, boxes and layers of the masks; `distinct` holds the indices to compare.
    Idea: IoU >= t needs areas whose ratio is at least t, and boxes that share at least t times the
        larger area.
    Steps: sort by area; the candidates of a mask are the masks after it up to its area / t, at most
        `_CANDIDATES`; drop those whose boxes share too little or whose layer differs.
    Cost: a sort, and one comparison of boxes for each candidate, `_ROWS` masks at a time.
    """
    ranked = distinct[np.argsort(area[distinct], kind="stable")]
    size = area[ranked]
    ends = np.searchsorted(size, size / near_iou * (1 + 1e-12), side="right")
    top_left, bottom_right = boxes[ranked, :2], boxes[ranked, :2] + boxes[ranked, 2:]
    for begin in range(0, len(ranked), _ROWS):
        rows = np.arange(begin, min(begin + _ROWS, len(ranked)))
        number = np.minimum(ends[rows] - rows - 1, _CANDIDATES)
        small = np.repeat(rows, number)
        large = small + 1 + np.arange(len(small)) - np.repeat(np.cumsum(number) - number, number)
        corner = np.maximum(top_left[small], top_left[large])
        sides = np.minimum(bottom_right[small], bottom_right[large]) - corner
        shared = np.maximum(sides, 0).prod(axis=1)
        same_layer = layer[ranked[small]] == layer[ranked[large]]
        may_match = (shared >= near_iou * size[large]) & same_layer
        small, large = small[may_match], large[may_match]
        starts = np.flatnonzero(np.diff(small, prepend=-1))
        for start, end in pairwise([*starts.tolist(), len(small)]):
            yield int(ranked[small[start]]), ranked[large[start:end]]


def _parents(annotations: Sequence[Annotation]) -> Int64[np.ndarray, " n"]:
    """Return the index of each mask's parent, -1 for no parent, -2 for an id that no mask has."""
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
    """Return whether each parent exists and is larger, and the share of the mask inside it."""
    with_parent = np.flatnonzero((parent >= 0) & solid & solid[np.maximum(parent, 0)])
    share_inside = np.ones(len(parent))
    larger = np.ones(len(parent), bool)
    larger[with_parent] = area[parent[with_parent]] > area[with_parent]
    order = with_parent[np.argsort(parent[with_parent], kind="stable")]
    starts = np.flatnonzero(np.diff(parent[order], prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(order)]):
        children = order[start:end]
        parent_rle = rles[parent[children[0]]]
        share_inside[children] = np.ravel(coco.iou([rles[i] for i in children], [parent_rle], [1]))
    return {"parent_known": parent != -2, "inside_parent": share_inside, "parent_is_larger": larger}


def _depth(parent: Int64[np.ndarray, " n"]) -> int:
    """Return the number of levels of the nest, 0 if parents make a circle.

    By pointer doubling: after k rounds `above` is the ancestor 2^k levels up, and `steps` the
    number of levels to it. A root stands for "no parent" and is its own ancestor. A mask that has
    not reached the root after log2(n) + 1 rounds lies on a circle, or under one.
    """
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
    is_ignored: Bool[np.ndarray, " n"],
    area: Int64[np.ndarray, " n"],
    rles: list,
) -> tuple[int, float]:
    """Return the pixels of overlap over all layers, and the least pixels that a layer covers."""
    overlap, covered = 0, []
    ignored = [rles[i] for i in np.flatnonzero(is_ignored)]
    for number in np.unique(layer[counted]):
        chosen = np.flatnonzero(counted & (layer == number))
        union = _union([rles[i] for i in chosen])
        overlap += int(area[chosen].sum()) - int(coco.area(union))
        covered.append(
            int(coco.area(coco.merge([union, *ignored]))) if ignored else coco.area(union)
        )
    return overlap, float(min(covered, default=0))


def _union(rles: list) -> Any:
    """Return the union of masks, `_MERGED` at a time.

    Merging one mask after the other would read the growing union once for each mask.
    """
    while len(rles) > 1:
        rles = [coco.merge(rles[i : i + _MERGED]) for i in range(0, len(rles), _MERGED)]
    return rles[0]
