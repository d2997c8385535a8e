"""IoU of many proposals with many truths, exact: the table that metrics of ranked masks start from.

In the order of a scan the borders of all truths cut the image into intervals, and the intervals
that lie in the same truths make one cell: as many cells as truths where these are disjoint, few
more where they nest. Runs of a proposal are summed by cell, and the counts times the cells'
memberships are the intersections. Work grows with borders, not with pixels times masks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from maskspace import masks
from maskspace.rle import Runs, decode_runs

_CELLS = 2**15  # of truths that cut the image into more, halves are measured on their own
_AT_ONCE = 2**16  # pieces of runs that are held at a time: they stay cached
_BLOCK = 2**14  # pixels that are looked at together for whether a mask has any
_ROWS = 64  # masks that are counted at a time
_NOISE = 16  # pixels a run below which products of dense masks are quicker
_BITS = 32  # truths that one pass over the intervals tells apart


def iou_table(
    predicted: Bool[np.ndarray, "n h w"], true: Bool[np.ndarray, "m h w"]
) -> Float64[np.ndarray, "n m"]:
    """Return intersection over union of every pair, bit for bit that of `masks.pairwise_iou`.

    Two empty masks have IoU 0.
    """
    pixels = predicted.shape[1] * predicted.shape[2]
    if pixels == 0:
        return np.zeros((len(predicted), len(true)))
    left, right = scan_runs(predicted), scan_runs(true)
    if len(left.mask) + len(right.mask) > (left.number + right.number) * pixels // _NOISE:
        return masks.pairwise_iou(predicted, true)
    return _table(left, right, pixels)


def iou_table_of_strings(
    predicted: Sequence[str], true: Sequence[str], size_hw: tuple[int, int]
) -> Float64[np.ndarray, "n m"]:
    """Return the table of masks that come as COCO's compressed strings, without decoding them.

    Raises ValueError for a string that does not cover the image exactly.
    """
    left, right = decode_runs(predicted, size_hw), decode_runs(true, size_hw)
    return _table(left, right, size_hw[0] * size_hw[1])


def scan_runs(stack: Bool[np.ndarray, "n h w"]) -> Runs:
    """Return the runs of dense masks in row-major order: positions are row times width + column."""
    changes = np.empty(stack.shape[1] * stack.shape[2] + 1, bool)  # asked for once: pages cost time
    borders = [np.zeros(0, np.int64)]
    for mask in stack:
        flat = mask.reshape(-1)
        first, end = _occupied(flat)
        if first == end:
            borders.append(np.zeros(0, np.int64))
            continue
        part, change = flat[first:end], changes[: end - first + 1]
        change[0], change[-1] = part[0], part[-1]
        np.not_equal(part[1:], part[:-1], out=change[1:-1])
        borders.append(np.flatnonzero(change) + first)
    owner = np.repeat(np.arange(len(stack)), [len(border) // 2 for border in borders[1:]])
    starts, ends = np.concatenate(borders).reshape(-1, 2).T
    return Runs(len(stack), owner, starts, ends - starts)


def _occupied(flat: Bool[np.ndarray, " p"]) -> tuple[int, int]:
    """Return positions between which all of a mask lies, borders of blocks; equal if it is empty.

    Looking for it is four times quicker than looking for borders.
    """
    whole = len(flat) // _BLOCK * _BLOCK
    blocks = np.flatnonzero(flat[:whole].reshape(-1, _BLOCK).any(axis=1))
    first = int(blocks[0]) * _BLOCK if len(blocks) else whole
    end = (int(blocks[-1]) + 1) * _BLOCK if len(blocks) else whole
    return first, len(flat) if flat[whole:].any() else end


@dataclass(frozen=True, eq=False)
class _Cells:
    """Intervals between the borders of truths, in order, and the cell that each belongs to.

    `interval[x]` is the one that position x lies in.
    """

    interval: Int64[np.ndarray, " p"]
    start: Int64[np.ndarray, " i"]
    length: Float64[np.ndarray, " i"]
    cell: Int64[np.ndarray, " i"]
    member: Float[np.ndarray, "c m"]


def _table(predicted: Runs, true: Runs, pixels: int) -> Float64[np.ndarray, "n m"]:
    shared = (
        _shared(predicted, true, pixels)
        if true.number <= predicted.number
        else _shared(true, predicted, pixels).T
    )
    union = predicted.areas()[:, None] + true.areas() - shared
    return shared / np.maximum(union, 1)


def _shared(predicted: Runs, true: Runs, pixels: int) -> Float64[np.ndarray, "n m"]:
    """Return intersections; their sums are of integers that the type holds, hence exact."""
    cells = _cells(true, pixels)
    if len(cells.member) > _CELLS and true.number > 1:
        middle = true.number // 2
        halves = _slice(true, 0, middle), _slice(true, middle, true.number)
        return np.concatenate([_shared(predicted, half, pixels) for half in halves], axis=1)
    last = predicted.start + predicted.length - 1
    first_interval, last_interval = cells.interval[predicted.start], cells.interval[last]
    pieces = last_interval - first_interval + 1
    before = predicted.start - cells.start[first_interval]
    beyond = cells.start[last_interval] + cells.length[last_interval] - 1 - last
    table = np.zeros((predicted.number, true.number))
    for rows, runs in _portions(predicted, pieces):
        interval = _spans(first_interval[runs], pieces[runs])
        length = cells.length[interval]
        end = np.cumsum(pieces[runs])
        length[end - pieces[runs]] -= before[runs]
        length[end - 1] -= beyond[runs]
        row = np.repeat((predicted.mask[runs] - rows.start) * len(cells.member), pieces[runs])
        row += cells.cell[interval]
        size = (rows.stop - rows.start) * len(cells.member)
        counts = np.bincount(row, weights=length, minlength=size)
        counts = counts.reshape(-1, len(cells.member)).astype(cells.member.dtype)
        table[rows] = counts @ cells.member
    return table


def _cells(true: Runs, pixels: int) -> _Cells:
    """Return the cells of truths that may overlap."""
    end = true.start + true.length
    border = np.zeros(pixels + 1, bool)
    border[0] = border[true.start] = border[end] = True
    start = np.flatnonzero(border[:-1])
    interval = np.cumsum(border[:-1]) - 1
    first, pieces = interval[true.start], interval[end - 1] - interval[true.start] + 1
    parts = np.searchsorted(true.mask, np.arange(true.number + 1))
    inside = [_spans(first[a:b], pieces[a:b]) for a, b in pairwise(parts)]
    cell = np.zeros(len(start), np.int64)
    for begin in range(0, true.number, _BITS):
        word = cell << _BITS
        for bit, intervals in enumerate(inside[begin : begin + _BITS]):
            word[intervals] |= 1 << bit
        cell = np.unique(word, return_inverse=True)[1]
    # a product of counts with 0 and 1 is exact in float32 where all pixels are
    kind = np.float32 if pixels < 2**24 else np.float64
    member = np.zeros((int(cell.max()) + 1, true.number), kind)
    for truth, intervals in enumerate(inside):
        member[cell[intervals], truth] = 1
    return _Cells(interval, start, np.diff(start, append=pixels).astype(float), cell, member)


def _portions(runs: Runs, pieces: Int64[np.ndarray, " r"]) -> Iterator[tuple[slice, slice]]:
    """Yield masks, and their runs, of no more than `_AT_ONCE` pieces, or a single mask."""
    first_run = np.searchsorted(runs.mask, np.arange(runs.number + 1))
    load = np.concatenate([[0], np.cumsum(pieces)])[first_run]
    begin = 0
    while begin < runs.number:
        end = int(np.searchsorted(load, load[begin] + _AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), begin + _ROWS)
        yield slice(begin, end), slice(int(first_run[begin]), int(first_run[end]))
        begin = end


def _slice(runs: Runs, begin: int, end: int) -> Runs:
    """Return masks `begin` to `end` - 1."""
    a, b = np.searchsorted(runs.mask, [begin, end])
    return Runs(end - begin, runs.mask[a:b] - begin, runs.start[a:b], runs.length[a:b])


def _spans(
    first: Int64[np.ndarray, " r"], count: Int64[np.ndarray, " r"]
) -> Int64[np.ndarray, " i"]:
    """Return the numbers from each first on, so many of them, one after the other."""
    before = np.cumsum(count) - count
    return np.arange(count.sum()) + np.repeat(first - before, count)
