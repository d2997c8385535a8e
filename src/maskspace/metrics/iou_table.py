"""IoU of many proposals with many truths, exact: the table that metrics of ranked masks start from.

In the order of a scan the borders of all truths are sorted, and it is noted in which truths one is
behind each of them. A run of a proposal then counts in full for the truths that it starts in, and
each border that it crosses adds what is left of it to a truth, or takes that away. Work grows with
borders, not with pixels times masks.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from maskspace import masks
from maskspace.compiled import compiled
from maskspace.rle import Runs, decode_runs, differences, runs_between

_NOTED = 2**26  # truths that are noted, 256 MB; of such that need more, halves are measured
_NOISE = 16  # pixels a run below which products of dense masks are quicker


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
    return _table(left, right)


def iou_table_of_strings(
    predicted: Sequence[str], true: Sequence[str], size_hw: tuple[int, int]
) -> Float64[np.ndarray, "n m"]:
    """Return the table of masks that come as COCO's compressed strings, without decoding them.

    Raises ValueError for a string that does not cover the image exactly.
    """
    left, right = decode_runs(predicted, size_hw), decode_runs(true, size_hw)
    return _table(left, right)


def scan_runs(stack: Bool[np.ndarray, "n h w"]) -> Runs:
    """Return the runs of dense masks in row-major order: positions are row times width + column."""
    pixels = stack.shape[1] * stack.shape[2]
    flat = np.ascontiguousarray(stack).view(np.uint8).reshape(len(stack), pixels)
    found = np.empty(pixels + 1, np.int64)
    pieces = []
    for mask in flat:
        number = differences(mask[1:], mask[:-1], found[1:])
        found[0], found[number + 1] = -1, pixels - 1
        begin, end = 1 - int(mask[0]), number + 1 + int(mask[-1])
        pieces.append(found[begin:end] + 1)
    return runs_between(pieces)


def _table(predicted: Runs, true: Runs) -> Float64[np.ndarray, "n m"]:
    shared = (
        _shared(predicted, true) if true.number <= predicted.number else _shared(true, predicted).T
    )
    union = predicted.areas()[:, None] + true.areas() - shared
    return shared / np.maximum(union, 1)


def _shared(predicted: Runs, true: Runs) -> Int64[np.ndarray, "n m"]:
    """Return intersections."""
    number = len(true.mask)
    borders = np.concatenate([true.start, true.start + true.length])
    order = np.argsort(borders, kind="stable")
    rank = np.empty(2 * number, np.int64)
    rank[order] = np.arange(1, 2 * number + 1)  # borders up to and with each
    first, end = rank[:number], rank[number:]
    noted = int((end - first).sum())
    if noted > _NOTED and true.number > 1:
        middle = true.number // 2
        halves = _slice(true, 0, middle), _slice(true, middle, true.number)
        return np.concatenate([_shared(predicted, half) for half in halves], axis=1)
    firsts, member = np.zeros(2 * number + 3, np.int64), np.empty(noted, np.int32)
    _note(true.mask, first, end, firsts, member)
    signs = np.repeat([1, -1], number)
    changes = np.stack([borders, np.tile(true.mask, 2), signs], axis=1)[order]
    shared = np.zeros((predicted.number, true.number), np.int64)
    passed = np.searchsorted(borders[order], predicted.start, side="right")
    ends = predicted.start + predicted.length
    _add(predicted.mask, predicted.start, ends, passed, changes, firsts, member, shared)
    return shared


@compiled
def _note(
    mask: Int64[np.ndarray, " r"],
    first: Int64[np.ndarray, " r"],
    end: Int64[np.ndarray, " r"],
    firsts: Int64[np.ndarray, " i"],
    member: Int32[np.ndarray, " k"],
) -> None:
    """Write down in which masks one is behind i borders: `member[firsts[i] : firsts[i + 1]]`."""
    for run in range(len(mask)):
        for passed in range(first[run], end[run]):
            firsts[passed + 2] += 1
    for passed in range(len(firsts) - 1):
        firsts[passed + 1] += firsts[passed]
    for run in range(len(mask)):
        for passed in range(first[run], end[run]):
            member[firsts[passed + 1]] = mask[run]
            firsts[passed + 1] += 1


@compiled
def _add(
    mask: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    end: Int64[np.ndarray, " r"],
    passed: Int64[np.ndarray, " r"],
    changes: Int64[np.ndarray, "e 3"],
    firsts: Int64[np.ndarray, " i"],
    member: Int32[np.ndarray, " k"],
    shared: Int64[np.ndarray, "n m"],
) -> None:
    """Add what runs share with truths: all with those they start in, and mend it at each border."""
    for run in range(len(mask)):
        row, change, stop = shared[mask[run]], passed[run], end[run]
        for place in range(firsts[change], firsts[change + 1]):
            row[member[place]] += stop - start[run]
        while change < len(changes) and changes[change, 0] < stop:
            row[changes[change, 1]] += changes[change, 2] * (stop - changes[change, 0])
            change += 1


def _slice(runs: Runs, begin: int, end: int) -> Runs:
    """Return masks `begin` to `end` - 1."""
    a, b = np.searchsorted(runs.mask, [begin, end])
    return Runs(end - begin, runs.mask[a:b] - begin, runs.start[a:b], runs.length[a:b])
