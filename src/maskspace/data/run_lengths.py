"""Masks as runs of pixels: label maps, components, boxes and nesting without a dense mask.

A run is a stretch of foreground in COCO's column-major order. The work and the memory grow with
the outlines, not with pixels times masks: hundreds of masks of a 12-megapixel photo are a few
megabytes. The coded strings are pycocotools', byte for byte.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int, Int64
from pycocotools import mask as coco
from scipy import sparse
from scipy.sparse import csgraph

from maskspace.rle import Runs, merged

_BLOCK = 256  # masks whose intersections with all others are held at a time


def label_map_runs(labels: Int[np.ndarray, "h w"]) -> tuple[Int64[np.ndarray, " n"], Runs]:
    """Return the non-zero labels, ascending, and the runs of the mask of each."""
    flat = labels.T.ravel()
    start = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    length = np.diff(np.append(start, flat.size))
    kept = flat[start] != 0
    start, length = start[kept], length[kept]
    ids, mask = np.unique(flat[start], return_inverse=True)
    order = np.argsort(mask, kind="stable")
    runs = Runs(len(ids), mask[order].astype(np.int64), start[order], length[order])
    return ids.astype(np.int64), runs


def component_runs(
    runs: Runs, size_hw: tuple[int, int], *, min_area: int
) -> tuple[Runs, Int64[np.ndarray, " m"]]:
    """Return the 4-connected components of at least `min_area` pixels, and the mask of each.

    They come mask by mask, in row-major order of their first pixels.
    """
    height, width = size_hw
    cut = _cut_at_columns(runs, height)
    component = _connected(cut, height, width)
    number = int(component.max(initial=-1)) + 1
    area = np.bincount(component, weights=cut.length, minlength=number)
    row_major = cut.start % height * width + cut.start // height
    first = np.full(number, height * width)
    np.minimum.at(first, component, row_major)
    owner = np.zeros(number, np.int64)
    owner[component] = cut.mask
    order = np.lexsort((first, owner))
    order = order[area[order] >= min_area]
    rank = np.full(number, -1)
    rank[order] = np.arange(len(order))
    mask = rank[component]
    by_mask = np.argsort(mask, kind="stable")
    by_mask = by_mask[mask[by_mask] >= 0]
    return (
        merged(len(order), mask[by_mask], cut.start[by_mask], cut.length[by_mask]),
        owner[order],
    )


def boxes_xywh(runs: Runs, size_hw: tuple[int, int]) -> Int64[np.ndarray, "n 4"]:
    """Return the tight box of each mask, 0, 0, 0, 0 of an empty one."""
    height, _ = size_hw
    cut = _cut_at_columns(runs, height)
    columns, rows = cut.start // height, cut.start % height
    low = np.full((runs.number, 2), max(size_hw))
    high = np.zeros((runs.number, 2), np.int64)
    for axis, (begin, end) in enumerate(((columns, columns + 1), (rows, rows + cut.length))):
        np.minimum.at(low[:, axis], cut.mask, begin)
        np.maximum.at(high[:, axis], cut.mask, end)
    low = np.minimum(low, high)
    return np.concatenate([low, high - low], axis=1)


def nesting_parents(
    counts: Sequence[str],
    size_hw: tuple[int, int],
    area: Int64[np.ndarray, " n"],
    *,
    containment: float,
) -> list[int | None]:
    """Return for each mask the index of the smallest strictly larger mask that contains it.

    A mask is contained when at least `containment` of its pixels lie in the other. Equal areas
    never nest, so that the relation has no cycles; ties in area go to the lower index.
    """
    order = np.argsort(area, kind="stable")
    coded = [string.encode("ascii") for string in counts]
    rles = [{"size": list(size_hw), "counts": coded[i]} for i in order.tolist()]
    ranked = area[order]
    parents = np.full(len(counts), -1)
    for begin in range(0, len(counts), _BLOCK):
        larger = slice(begin, begin + _BLOCK)
        open_ = np.flatnonzero((parents < 0) & (ranked > 0) & (ranked < ranked[larger][-1]))
        if len(open_) == 0:
            continue
        share = _shares([rles[i] for i in open_], rles[larger])
        shared = np.rint(share * ranked[open_, None])  # exact: integers below 2**53
        inside = shared >= containment * ranked[open_, None]
        inside &= ranked[open_, None] < ranked[None, larger]
        found = inside.any(axis=1)
        parents[open_[found]] = begin + inside.argmax(axis=1)[found]
    result: list[int | None] = [None] * len(counts)
    for rank in np.flatnonzero(parents >= 0):
        result[int(order[rank])] = int(order[parents[rank]])
    return result


def _shares(masks: list[dict], others: list[dict]) -> Float64[np.ndarray, "n m"]:
    """Return which part of each mask lies in each of the others (COCO's IoU with a crowd)."""
    found = coco.iou(masks, others, [1] * len(others))  # pyright: ignore[reportArgumentType]
    return np.asarray(found, np.float64).reshape(len(masks), len(others))


def _connected(cut: Runs, height: int, width: int) -> Int64[np.ndarray, " r"]:
    """Return the component of each run, given runs that stay in one column."""
    begin = cut.mask * (height * width) + cut.start
    end = begin + cut.length
    to_next = np.flatnonzero(cut.start // height < width - 1)
    first = np.searchsorted(end, begin[to_next] + height, side="right")
    last = np.searchsorted(begin, end[to_next] + height, side="left")
    touching = np.maximum(last - first, 0)
    left = np.repeat(to_next, touching)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(touching) - touching, touching)
    right = np.repeat(first, touching) + offset
    number = len(cut.start)
    graph = sparse.coo_array((np.ones(len(left), np.int8), (left, right)), shape=(number, number))
    return csgraph.connected_components(graph, directed=False)[1].astype(np.int64)


def _cut_at_columns(runs: Runs, height: int) -> Runs:
    """Return the runs cut where one column ends and the next begins."""
    first, last = runs.start // height, (runs.start + runs.length - 1) // height
    pieces = last - first + 1
    index = np.repeat(np.arange(len(pieces)), pieces)
    column = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = np.maximum(runs.start[index], column * height)
    end = np.minimum((runs.start + runs.length)[index], (column + 1) * height)
    return Runs(runs.number, runs.mask[index], start, end - start)
