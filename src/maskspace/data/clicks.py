"""Draw a click from a mask: at its centre, or anywhere inside.

The centre is that of SegNext's evaluation (Q. Liu et al., 2024, arXiv 2404.00741): the deepest
pixel, the first in row-major order of equally deep ones.
"""

import hashlib

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from maskspace import masks
from maskspace.types import Click


def depth(mask: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """Return each pixel's exact Euclidean distance to the nearest pixel outside, 0 outside.

    Beyond the border of the image all is outside: the mask is padded by one pixel of background.
    """
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))
    return distance[1:-1, 1:-1]


def center_click(mask: Bool[np.ndarray, "h w"]) -> Click:
    """Return a positive click on the deepest pixel, the top-most then left-most of equals."""
    x, y, width, height = _box(mask)
    inside = depth(mask[y : y + height, x : x + width])
    row, column = divmod(int(inside.argmax()), width)
    return Click(x + column, y + row)


def random_click(mask: Bool[np.ndarray, "h w"], *, seed: int, key: str, mask_id: int) -> Click:
    """Return a positive click on a pixel drawn uniformly from the mask.

    The draw depends on the seed, the sample's key and the mask's id only, never on what was drawn
    before.
    """
    _box(mask)
    digest = hashlib.sha256(f"{seed}/{key}/{mask_id}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    pixels = np.flatnonzero(mask)
    y, x = divmod(int(pixels[generator.integers(len(pixels))]), mask.shape[1])
    return Click(x, y)


def _box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Return the mask's box x, y, w, h: outside it depths are 0, so only the box is transformed."""
    x, y, width, height = masks.boxes_xywh(mask[None])[0].tolist()
    if width == 0:
        raise ValueError("an empty mask has no pixel to click; leave it out")
    return x, y, width, height
