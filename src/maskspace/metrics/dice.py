"""Dice coefficient of masks, L. R. Dice, 1945, doi:10.2307/1932409: 2 IoU / (1 + IoU)."""

import numpy as np
from jaxtyping import Bool, Float64


def dice(
    predicted: Bool[np.ndarray, "n h w"],
    true: Bool[np.ndarray, "n h w"],
    ignore: Bool[np.ndarray, "h w"] | None = None,
) -> Float64[np.ndarray, " n"]:
    """Return for each predicted mask 2 |P and T| / (|P| + |T|), in [0, 1], T being its truth.

    Ignored pixels do not count. It is NaN where neither mask has a counted pixel, as `click_iou`.

    Example:
        >>> predicted, true = np.array([[[1, 1, 0]]], bool), np.array([[[0, 1, 1]]], bool)
        >>> dice(predicted, true).tolist()
        [0.5]
    """
    counted = np.ones(true.shape[1:], bool) if ignore is None else ~ignore
    shared = (predicted & true & counted).sum(axis=(1, 2))
    total = (predicted & counted).sum(axis=(1, 2)) + (true & counted).sum(axis=(1, 2))
    return np.divide(2 * shared, total, out=np.full(len(total), np.nan), where=total > 0)
