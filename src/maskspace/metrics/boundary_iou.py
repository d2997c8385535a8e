"""Boundary IoU: IoU of the pixels of two masks that are near their own boundaries.

B. Cheng, R. Girshick, P. Dollár, A. Berg, A. Kirillov, 2021, arXiv 2103.16562, equation 3, with the
width of their code: a share of the image's diagonal, rounded, at least one pixel. Distances are in
steps to any of 8 neighbours. What is outside of the image does not belong to the mask.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from maskspace import masks

#: Width of the band as a share of the image's diagonal, as in the paper.
WIDTH = 0.02


def inner_bands(
    stack: Bool[np.ndarray, "n h w"], *, width: float = WIDTH
) -> Bool[np.ndarray, "n h w"]:
    """Return the pixels of each mask that are nearer to its outside than the width.

    `width` is a share of the image's diagonal (default 0.02).

    Example:
        >>> inner_bands(np.ones((1, 3, 3), bool))[0].astype(int).tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    pixels = max(1, round(width * math.hypot(*stack.shape[1:])))
    bands = np.zeros_like(stack)
    for mask, band, (x, y, w, h) in zip(stack, bands, masks.boxes_xywh(stack), strict=True):
        crop = mask[y : y + h, x : x + w]
        if crop.size:
            core = ndimage.minimum_filter(
                crop.view(np.uint8), size=2 * pixels + 1, mode="constant", cval=0
            )
            band[y : y + h, x : x + w] = crop & (core == 0)
    return bands


def boundary_iou(
    predicted: Bool[np.ndarray, "n h w"],
    true: Bool[np.ndarray, "n h w"],
    *,
    width: float = WIDTH,
) -> Float64[np.ndarray, " n"]:
    """Return the boundary IoU of each predicted mask with its truth; NaN where both are empty.

    Args:
        predicted: predicted masks.
        true: the truth of each predicted mask.
        width: width of the bands, as a share of the image's diagonal (default 0.02).

    Example:
        >>> square = np.zeros((1, 8, 8), bool)
        >>> square[0, 2:6, 2:6] = True
        >>> boundary_iou(square, square).tolist()
        [1.0]
    """
    bands = inner_bands(predicted, width=width), inner_bands(true, width=width)
    shared = (bands[0] & bands[1]).sum(axis=(1, 2))
    union = (bands[0] | bands[1]).sum(axis=(1, 2))
    return np.divide(shared, union, out=np.full(len(union), np.nan), where=union > 0)
