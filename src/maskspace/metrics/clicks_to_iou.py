"""IoU of clicked masks and the numbers made of it: mIoU after k clicks, clicks to reach an IoU.

K. Sofiiuk, I. Petrov, A. Konushin, RITM, 2021, arXiv 2102.06583; Q. Liu et al., SegNext, 2024,
arXiv 2404.00741. Every pair of an image and an object counts once. IoUs come as one row an object
and one column a click; a click that was not made is NaN, and reaches nothing.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64


def click_iou(
    predicted: Bool[np.ndarray, "n h w"],
    true: Bool[np.ndarray, "n h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> Float64[np.ndarray, " n"]:
    """Return the IoU in [0, 1] of each predicted mask with its truth, ignored pixels left out.

    No epsilon: where neither has a counted pixel, 0/0, it is NaN, as in the published protocol.
    """
    counted = ~ignore
    shared = (predicted & true & counted).sum(axis=(1, 2))
    union = ((predicted | true) & counted).sum(axis=(1, 2))
    undefined = np.full(len(union), np.nan)
    return np.divide(shared, union, out=undefined, where=union > 0)


def iou_at_levels(
    probability: Float32[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
    *,
    levels: Sequence[float],
) -> Float64[np.ndarray, " s"]:
    """Return `click_iou` of one map cut above each level: its largest is that of an oracle."""
    counted = ~ignore
    inside, outside = probability[true & counted], probability[~true & counted]
    shared = np.array([np.count_nonzero(inside > level) for level in levels])
    union = len(inside) + np.array([np.count_nonzero(outside > level) for level in levels])
    return np.divide(shared, union, out=np.full(len(union), np.nan), where=union > 0)


def mean_iou_at(ious: Float64[np.ndarray, "n k"], *, click: int) -> float:
    """Return the mean over objects of the IoU after click number `click`, counted from 1."""
    if not 1 <= click <= ious.shape[1]:
        raise ValueError(f"click {click} was not made; this record holds clicks 1..{ious.shape[1]}")
    return float(ious[:, click - 1].mean())


def clicks_to_iou(ious: Float64[np.ndarray, "n k"], *, target: float) -> Int64[np.ndarray, " n"]:
    """Return the number, from 1, of the first click that reaches `target`; k where none does."""
    reached = ious >= target
    first = reached.argmax(axis=1) + 1
    return np.where(reached.any(axis=1), first, ious.shape[1]).astype(np.int64)


def failures(ious: Float64[np.ndarray, "n k"], *, target: float) -> int:
    """Return the published number of failures: objects whose clicks to `target` are all k.

    A success at the very last click counts as one; `never_reached` does not count it.
    """
    return int((clicks_to_iou(ious, target=target) == ious.shape[1]).sum())


def never_reached(ious: Float64[np.ndarray, "n k"], *, target: float) -> int:
    """Return the number of objects that no click brings to `target`."""
    return int((~(ious >= target).any(axis=1)).sum())
