"""IoU of clicked masks and the numbers made of it: mIoU after k clicks, clicks to reach an IoU.

K. Sofiiuk, I. Petrov, A. Konushin, RITM, 2021, arXiv 2102.06583; Q. Liu et al., SegNext, 2024,
arXiv 2404.00741. Every pair of an image and an object counts once. IoUs have one row per object
and one column per click. A click that was not made is NaN and reaches no target.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64


def click_iou(
    predicted: Bool[np.ndarray, "n h w"],
    true: Bool[np.ndarray, "n h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> Float64[np.ndarray, " n"]:
    """Return the IoU in [0, 1] of each predicted mask with its truth; ignored pixels do not count.

    No epsilon is added. Where neither mask has a counted pixel the IoU is NaN, as in the published
    protocol.

    Example:
        >>> true = np.array([[[1, 1, 0, 0]]], bool)
        >>> predicted = np.array([[[1, 0, 0, 0]]], bool)
        >>> click_iou(predicted, true, np.zeros((1, 4), bool)).tolist()
        [0.5]
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
    """Return the IoU of the mask `probability > level` for each of the `levels`.

    The largest value is what an oracle that knows the best level would get. It is NaN where neither
    mask has a counted pixel.

    Example:
        >>> probability = np.array([[0.9, 0.4, 0.1]], np.float32)
        >>> true, ignore = np.array([[1, 1, 0]], bool), np.zeros((1, 3), bool)
        >>> iou_at_levels(probability, true, ignore, levels=[0.5, 0.3]).tolist()
        [0.5, 1.0]
    """
    counted = ~ignore
    inside, outside = probability[true & counted], probability[~true & counted]
    shared = np.array([np.count_nonzero(inside > level) for level in levels])
    union = len(inside) + np.array([np.count_nonzero(outside > level) for level in levels])
    return np.divide(shared, union, out=np.full(len(union), np.nan), where=union > 0)


def clicks_to_iou(ious: Float64[np.ndarray, "n k"], *, target: float) -> Int64[np.ndarray, " n"]:
    """Return the number, from 1, of the first click that reaches `target`; k where none does.

    Example:
        >>> clicks_to_iou(np.array([[0.5, 0.9], [0.2, 0.3]]), target=0.85).tolist()
        [2, 2]
    """
    reached = ious >= target
    first = reached.argmax(axis=1) + 1
    return np.where(reached.any(axis=1), first, ious.shape[1]).astype(np.int64)


def failures(ious: Float64[np.ndarray, "n k"], *, target: float) -> int:
    """Return the published number of failures: objects whose clicks to `target` are all k.

    An object that reaches the target at the very last click counts as a failure here, but not in
    `never_reached`.

    Example:
        >>> ious = np.array([[0.5, 0.9], [0.2, 0.3]])
        >>> failures(ious, target=0.85), never_reached(ious, target=0.85)
        (2, 1)
    """
    return int((clicks_to_iou(ious, target=target) == ious.shape[1]).sum())


def never_reached(ious: Float64[np.ndarray, "n k"], *, target: float) -> int:
    """Return the number of objects that no click brings to `target`.

    Example:
        >>> never_reached(np.array([[0.5, 0.9], [0.2, 0.3]]), target=0.85)
        1
    """
    return int((~(ious >= target).any(axis=1)).sum())
