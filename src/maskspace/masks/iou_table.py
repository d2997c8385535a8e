"""IoU of many proposals with many truths, exact: the table of metrics of ranked masks.

Input: masks, or COCO's strings.
Idea: between two borders of truths, in the order of a scan, the same truths hold every position.
Steps: sort the borders of all truths; note which truths hold the positions behind each; count the
    runs of proposals against them (`kernels.run_overlaps`); divide by the unions.
Cost: grows with the borders, not with pixels times masks.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from maskspace.kernels.run_overlaps import add_overlaps, note_members
from maskspace.masks.coded import decode_runs
from maskspace.masks.dense import pairwise_iou
from maskspace.masks.runs import Runs, scan_runs

_NOTED = 2**26  # truths that are noted, 256 MB; of such that need more, halves are measured
_NOISE = 16  # pixels a run below which products of dense masks are quicker


def iou_table(
    predicted: Bool[np.ndarray, "n h w"], true: Bool[np.ndarray, "m h w"]
) -> Float64[np.ndarray, "n m"]:
    """Return intersection over union of every pair, bit for bit that of `masks.pairwise_iou`.

    Two empty masks have IoU 0. Noisy masks with many borders are computed as dense products.

    Example:
        >>> truths = np.zeros((2, 4, 4), bool)
        >>> truths[0, :2], truths[1] = True, True  # the upper half, and all
        >>> iou_table(truths[:1], truths).tolist()
        [[1.0, 0.5]]
    """
    pixels = predicted.shape[1] * predicted.shape[2]
    if pixels == 0:
        return np.zeros((len(predicted), len(true)))
    left, right = scan_runs(predicted), scan_runs(true)
    if len(left.mask) + len(right.mask) > (left.number + right.number) * pixels // _NOISE:
        return pairwise_iou(predicted, true)
    return _table(left, right)


def iou_table_of_strings(
    predicted: Sequence[str], true: Sequence[str], size_hw: tuple[int, int]
) -> Float64[np.ndarray, "n m"]:
    """Return the table of masks given as COCO's compressed strings, without decoding them.

    ValueError for a string that does not cover the image exactly.

    Example:
        >>> iou_table_of_strings(["22"], ["22", "04"], (2, 2)).tolist()
        [[1.0, 0.5]]
    """
    left, right = decode_runs(predicted, size_hw), decode_runs(true, size_hw)
    return _table(left, right)


def _table(predicted: Runs, true: Runs) -> Float64[np.ndarray, "n m"]:
    shared = (
        _shared(predicted, true) if true.number <= predicted.number else _shared(true, predicted).T
    )
    union = predicted.areas()[:, None] + true.areas() - shared
    return shared / np.maximum(union, 1)


def _shared(predicted: Runs, true: Runs) -> Int64[np.ndarray, "n m"]:
    """Return the intersections."""
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
    note_members(true.mask, first, end, firsts, member)
    signs = np.repeat([1, -1], number)
    changes = np.stack([borders, np.tile(true.mask, 2), signs], axis=1)[order]
    shared = np.zeros((predicted.number, true.number), np.int64)
    passed = np.searchsorted(borders[order], predicted.start, side="right")
    ends = predicted.start + predicted.length
    add_overlaps(predicted.mask, predicted.start, ends, passed, changes, firsts, member, shared)
    return shared


def _slice(runs: Runs, begin: int, end: int) -> Runs:
    """Return masks `begin` to `end` - 1."""
    a, b = np.searchsorted(runs.mask, [begin, end])
    return Runs(end - begin, runs.mask[a:b] - begin, runs.start[a:b], runs.length[a:b])
