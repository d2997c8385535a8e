"""Masks as runs of pixels: label maps, components and boxes without a dense mask.

A run is a stretch of foreground in COCO's column-major order. Work and memory grow with the
outlines, not with pixels times masks: hundreds of masks of a 12-megapixel photo take a few
megabytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64
from scipy import sparse
from scipy.sparse import csgraph

from maskspace.kernels.differences import differences


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of `number` masks, ordered by mask, then position.

    Run r covers the positions `start[r]` to `start[r] + length[r] - 1` of mask `mask[r]`. The
    position of a pixel is its column times the height plus its row. Lengths are at least 1, and two
    runs of a mask never touch.

    Example:
        >>> runs = mask_runs(np.array([[[0, 1], [0, 1]]], bool))
        >>> runs.start.tolist(), runs.length.tolist()  # position 2 is row 0 of column 1
        ([2], [2])
    """

    number: int
    mask: Int64[np.ndarray, " r"]
    start: Int64[np.ndarray, " r"]
    length: Int64[np.ndarray, " r"]

    def areas(self) -> Int64[np.ndarray, " n"]:
        """Return the pixel count of each mask.

        Example:
            >>> mask_runs(np.ones((2, 3, 3), bool)).areas().tolist()
            [9, 9]
        """
        total = np.concatenate([[0], np.cumsum(self.length)])
        return np.diff(total[np.searchsorted(self.mask, np.arange(self.number + 1))])


def mask_runs(masks: Bool[np.ndarray, "n h w"]) -> Runs:
    """Return the runs of dense masks.

    Example:
        >>> runs = mask_runs(np.array([[[1, 0, 1], [0, 0, 1]]], bool))
        >>> runs.start.tolist(), runs.length.tolist()
        ([0, 4], [1, 2])
    """
    number, height, width = masks.shape
    flat = np.ascontiguousarray(masks).view(np.uint8).reshape(number, height * width)
    places = np.empty(height * width, np.int64)
    pieces = []
    for mask in flat:
        # the first row follows the last of the columns before
        top = np.flatnonzero(mask[:width] != np.append([0], mask[-width:-1])) * height
        row, column = np.divmod(places[: differences(mask[width:], mask[:-width], places)], width)
        end = np.full(int(mask[-1:].any()), height * width)
        pieces.append(np.concatenate([top, column * height + row + 1, end]))
        pieces[-1].sort()
    return runs_between(pieces)


def scan_runs(stack: Bool[np.ndarray, "n h w"]) -> Runs:
    """Return the runs of dense masks in row-major order: positions are row times width + column.

    Example:
        >>> runs = scan_runs(np.array([[[1, 0, 1], [0, 0, 1]]], bool))
        >>> runs.start.tolist(), runs.length.tolist()
        ([0, 2, 5], [1, 1, 1])
    """
    pixels = stack.shape[1] * stack.shape[2]
    flat = np.ascontiguousarray(stack).view(np.uint8).reshape(len(stack), pixels)
    places = np.empty(pixels + 1, np.int64)
    pieces = []
    for mask in flat:
        number = differences(mask[1:], mask[:-1], places[1:])
        places[0], places[number + 1] = -1, pixels - 1
        begin, end = 1 - int(mask[0]), number + 1 + int(mask[-1])
        pieces.append(places[begin:end] + 1)
    return runs_between(pieces)


def runs_between(pieces: Sequence[Int64[np.ndarray, " _"]]) -> Runs:
    """Return runs, given for each mask the positions where they begin and end in turn.

    Example:
        >>> runs = runs_between([np.array([0, 2, 5, 6]), np.array([3, 4])])
        >>> runs.mask.tolist(), runs.start.tolist(), runs.length.tolist()
        ([0, 0, 1], [0, 5, 3], [2, 1, 1])
    """
    owner = np.repeat(np.arange(len(pieces)), [len(piece) // 2 for piece in pieces])
    borders = np.concatenate([np.zeros(0, np.int64), *pieces]).reshape(-1, 2)
    return Runs(len(pieces), owner, borders[:, 0].copy(), borders[:, 1] - borders[:, 0])


def joined_runs(
    number: int,
    mask: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
) -> Runs:
    """Return ordered runs; those that touch become one.

    Example:
        >>> zeros = np.zeros(3, np.int64)
        >>> runs = joined_runs(1, zeros, np.array([0, 2, 7]), np.array([2, 3, 1]))
        >>> runs.start.tolist(), runs.length.tolist()
        ([0, 7], [5, 1])
    """
    new = np.ones(len(mask), bool)
    new[1:] = (mask[1:] != mask[:-1]) | (start[1:] != start[:-1] + length[:-1])
    if new.all():
        return Runs(number, mask, start, length)
    begins = np.flatnonzero(new)
    return Runs(number, mask[begins], start[begins], np.add.reduceat(length, begins))


def label_map_runs(labels: Int[np.ndarray, "h w"]) -> tuple[Int64[np.ndarray, " n"], Runs]:
    """Return the non-zero labels, ascending, and the runs of the mask of each.

    Example:
        >>> ids, runs = label_map_runs(np.array([[7, 7], [0, 3]]))
        >>> ids.tolist(), runs.areas().tolist()
        ([3, 7], [1, 2])
    """
    flat = labels.T.ravel()
    start = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    length = np.diff(np.append(start, flat.size))
    is_labelled = flat[start] != 0
    start, length = start[is_labelled], length[is_labelled]
    ids, mask = np.unique(flat[start], return_inverse=True)
    order = np.argsort(mask, kind="stable")
    runs = Runs(len(ids), mask[order].astype(np.int64), start[order], length[order])
    return ids.astype(np.int64), runs


def component_runs(
    runs: Runs, size_hw: tuple[int, int], *, min_area: int
) -> tuple[Runs, Int64[np.ndarray, " m"]]:
    """Return the 4-connected components of at least `min_area` pixels, and the mask of each.

    They are ordered by mask, then by their first pixel in row-major order.

    Example:
        >>> runs = mask_runs(np.array([[[1, 0, 1, 1]]], bool))
        >>> parts, owner = component_runs(runs, (1, 4), min_area=1)
        >>> parts.areas().tolist(), owner.tolist()
        ([1, 2], [0, 0])
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
        joined_runs(len(order), mask[by_mask], cut.start[by_mask], cut.length[by_mask]),
        owner[order],
    )


def boxes_of_runs(runs: Runs, size_hw: tuple[int, int]) -> Int64[np.ndarray, "n 4"]:
    """Return the tight box of each mask: x, y, width, height; all 0 for an empty mask.

    Example:
        >>> mask = np.zeros((1, 5, 6), bool)
        >>> mask[0, 1:3, 2:6] = True
        >>> boxes_of_runs(mask_runs(mask), (5, 6)).tolist()
        [[2, 1, 4, 2]]
    """
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
