"""GrabCut from clicks: two colour models and a graph cut, begun from a disk around each click.

Rother, Kolmogorov and Blake 2004 (doi:10.1145/1015706.1015720), OpenCV's implementation, an extra:
`pip install maskspace[peers]`. Departures: the prior is a disk, not a user's box, and only what
hangs together with a positive click comes back.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field, PositiveInt
from scipy import ndimage

from maskspace.partition.shrunk import Shrunk, Side, shrunk
from maskspace.peers.kinds import Peer
from maskspace.types import Click, ClickAnswer

_MIXTURE = 5  # components of each colour model, which needs as many pixels


def grabcut(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    size: Annotated[float, Field(gt=0, lt=1)] = 0.3,
    iterations: PositiveInt = 3,
    radius: Annotated[float, Field(ge=2)] = 2.0,
    max_side: Side = 240,
) -> ClickAnswer:
    """Return what answers clicks; an error where OpenCV is not installed.

    `size` is the diameter of the disk of probable foreground around a positive click as a share of
    the image's shorter side; all else is probable background. What is within `radius` pixels of a
    click is sure, in the image at `max_side` a side, where the work is done.
    """
    try:
        import cv2  # noqa: F401
    except ImportError:
        raise ValueError("grabcut needs OpenCV: pip install maskspace[peers]") from None
    small = shrunk(image, max_side=max_side)
    return partial(_cut_out, small, size=size, iterations=iterations, radius=radius)


def _cut_out(
    small: Shrunk, clicks: Sequence[Click], *, size: float, iterations: int, radius: float
) -> Bool[np.ndarray, "h w"]:
    near, wanted, removed = np.zeros((3, *small.small_hw), bool)
    for click in clicks:
        if click.positive:
            near |= small.disk(click, radius=size * min(small.small_hw) / 2)
        (wanted if click.positive else removed)[small.disk(click, radius=radius)] = True
    inside = _grabcut(small.image, near | wanted, wanted & ~removed, removed, iterations=iterations)
    pieces = np.zeros(inside.shape, np.int32)
    ndimage.label(inside, output=pieces)
    return small.enlarge(np.isin(pieces, np.setdiff1d(pieces[wanted], [0])))


def _grabcut(
    image: UInt8[np.ndarray, "r s 3"],
    probable: Bool[np.ndarray, "r s"],
    wanted: Bool[np.ndarray, "r s"],
    removed: Bool[np.ndarray, "r s"],
    *,
    iterations: int,
) -> Bool[np.ndarray, "r s"]:
    """Return the foreground; the prior itself where a side has too few pixels to have colours."""
    import cv2

    prior = np.where(probable, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    prior[wanted], prior[removed] = cv2.GC_FGD, cv2.GC_BGD
    foreground = prior % 2 == cv2.GC_FGD % 2  # both kinds of it are odd
    if min(foreground.sum(), (~foreground).sum()) < _MIXTURE:
        return foreground
    cv2.setRNGSeed(0)  # its mixtures begin at random
    background, object_ = np.zeros((2, 1, 13 * _MIXTURE))
    unused = (0, 0, 1, 1)
    cv2.grabCut(image, prior, unused, background, object_, iterations, cv2.GC_INIT_WITH_MASK)
    return prior % 2 == cv2.GC_FGD % 2


GRABCUT = Peer(click=grabcut)
