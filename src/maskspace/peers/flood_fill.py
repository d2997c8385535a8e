"""Flood fill: the connected pixels whose colour is near enough to the clicked one's.

The distance of two colours is their largest difference in a channel, in 8-bit levels, as the
tolerance of paint programs is. scikit-image's flood, 4-connected, at the image's own resolution.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import NonNegativeInt
from skimage.segmentation import flood

from maskspace.peers.kinds import Peer
from maskspace.types import Click, ClickAnswer


def flood_fill(image: UInt8[np.ndarray, "h w 3"], *, tolerance: NonNegativeInt = 30) -> ClickAnswer:
    """Return what answers clicks: the floods of positive ones less those of negative ones.

    `tolerance` is the largest colour distance to the clicked pixel, 0 to 255 levels.

    Example:
        >>> from maskspace.types import Click
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> answer = flood_fill(halves, tolerance=20)
        >>> answer([Click(x=2, y=2)]).sum()
        np.int64(128)
    """
    return partial(_joined_floods, image, tolerance=tolerance)


def _joined_floods(
    image: UInt8[np.ndarray, "h w 3"], clicks: Sequence[Click], *, tolerance: int
) -> Bool[np.ndarray, "h w"]:
    wanted, removed = np.zeros((2, *image.shape[:2]), bool)
    for click in clicks:
        reached = wanted if click.positive else removed
        reached |= _flood(image, click, tolerance=tolerance)
    return wanted & ~removed


def _flood(
    image: UInt8[np.ndarray, "h w 3"], click: Click, *, tolerance: int
) -> Bool[np.ndarray, "h w"]:
    seed = image[click.y, click.x]
    # uint8 without a wider copy: of the two differences one wraps round
    distance = np.where(image > seed, image - seed, seed - image).max(axis=2)
    return flood(distance <= tolerance, (click.y, click.x), connectivity=1)


FLOOD_FILL = Peer(click=flood_fill)
