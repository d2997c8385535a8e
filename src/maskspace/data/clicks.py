"""Draw a click from a mask, or the next click from the error between two masks.

The centre is that of SegNext's evaluation (Q. Liu et al., 2024, arXiv 2404.00741): the deepest
pixel, the first in row-major order of equally deep ones. The inner part of a mask is RITM's
(K. Sofiiuk et al., 2021, arXiv 2102.06583): what is deeper than a share of the largest depth.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from maskspace import masks
from maskspace.types import Click


def depth(mask: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """Return each pixel's exact Euclidean distance to the nearest pixel outside, 0 outside.

    Beyond the border of the image all is outside: the mask is padded by one pixel of background.

    Example:
        >>> depth(np.ones((3, 3), bool)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]
    """
    x, y, width, height = masks.boxes_xywh(mask[None])[0].tolist()
    box = (slice(y, y + height), slice(x, x + width))
    depths = np.zeros(mask.shape)
    if width:  # outside the box depths are 0, and one ring around it is nearer than all beyond
        depths[box] = np.asarray(ndimage.distance_transform_edt(np.pad(mask[box], 1)))[1:-1, 1:-1]
    return depths


def center_click(mask: Bool[np.ndarray, "h w"]) -> Click:
    """Return a positive click on the deepest pixel, the top-most then left-most of equals.

    Example:
        >>> center_click(np.ones((3, 5), bool))
        Click(x=1, y=1, positive=True)
    """
    x, y, width, height = _box(mask)
    inside = depth(mask[y : y + height, x : x + width])
    row, column = divmod(int(inside.argmax()), width)
    return Click(x + column, y + row)


def random_click(mask: Bool[np.ndarray, "h w"], *, seed: int, key: str, mask_id: int) -> Click:
    """Return a positive click on a pixel drawn uniformly from the mask.

    The draw depends on the seed, the sample's key and the mask's id only, never on what was drawn
    before.

    Example:
        >>> mask = np.ones((3, 5), bool)
        >>> first = random_click(mask, seed=0, key="a", mask_id=1)
        >>> first == random_click(mask, seed=0, key="a", mask_id=1)
        True
    """
    _box(mask)
    return _draw(mask, True, _generator(seed, key, mask_id))


def inner_click(
    mask: Bool[np.ndarray, "h w"], *, seed: int, key: str, mask_id: int, factor: float = 2.0
) -> Click:
    """Return a positive click drawn uniformly from the pixels deeper than the deepest / `factor`.

    The draw is named as that of `random_click`.

    Example:
        >>> mask = np.ones((3, 3), bool)  # only its centre is deep enough
        >>> inner_click(mask, seed=0, key="a", mask_id=1)
        Click(x=1, y=1, positive=True)
    """
    _box(mask)
    return _draw(inner(depth(mask), factor), True, _generator(seed, key, mask_id))


def inner(depths: Float64[np.ndarray, "h w"], factor: float) -> Bool[np.ndarray, "h w"]:
    """Return the pixels deeper than the deepest / `factor`; none where all depths are 0.

    An infinite factor gives every pixel inside.

    Example:
        >>> inner(np.array([[0.0, 1.0, 2.0]]), 2.0).tolist()
        [[False, False, True]]
    """
    if factor <= 1:
        raise ValueError(f"factor must be above 1, or no pixel is deep enough; got {factor}")
    return depths > depths.max() / factor


def error_depths(
    predicted: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"],
    *,
    ignore: Bool[np.ndarray, "h w"] | None = None,
    clicked: Sequence[Click] = (),
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Return the depths of what is missed and of what is predicted in excess.

    Ignored pixels are no error, and bound the errors beside them; pixels already clicked get depth
    0 afterwards, which leaves their neighbours as deep as they were.

    Example:
        >>> truth = np.array([[1, 1, 0]], bool)
        >>> predicted = np.array([[0, 1, 1]], bool)
        >>> missed, excess = error_depths(predicted, truth)
        >>> missed.tolist(), excess.tolist()
        ([[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    """
    wrong = predicted != truth
    if ignore is not None:
        wrong &= ~ignore
    missed, excess = depth(wrong & truth), depth(wrong & predicted)
    for click in clicked:
        missed[click.y, click.x] = excess[click.y, click.x] = 0
    return missed, excess


def next_click(
    predicted: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"],
    *,
    ignore: Bool[np.ndarray, "h w"] | None = None,
    clicked: Sequence[Click] = (),
) -> Click:
    """Return a click on the deepest pixel of the errors, the first of equals in row-major order.

    It is positive where what is missed is strictly deeper than what is in excess. Where nothing is
    wrong, or every wrong pixel was clicked, it is a negative click at the first pixel.

    Example:
        >>> truth = np.zeros((3, 6), bool)
        >>> truth[:, :3] = True
        >>> next_click(np.zeros((3, 6), bool), truth)
        Click(x=1, y=1, positive=True)
        >>> next_click(np.ones((3, 6), bool), truth)
        Click(x=4, y=1, positive=False)
    """
    missed, excess = error_depths(predicted, truth, ignore=ignore, clicked=clicked)
    positive = bool(missed.max() > excess.max())
    row, column = divmod(int((missed if positive else excess).argmax()), truth.shape[1])
    return Click(column, row, positive)


def next_center_click(
    predicted: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"],
    *,
    ignore: Bool[np.ndarray, "h w"] | None = None,
    clicked: Sequence[Click] = (),
    seed: int,
    key: str,
    mask_id: int,
) -> Click:
    """Return `next_click`: nothing is drawn, whatever the names of the draw.

    Example:
        >>> truth = np.ones((3, 3), bool)
        >>> next_center_click(~truth, truth, seed=0, key="a", mask_id=1)
        Click(x=1, y=1, positive=True)
    """
    del seed, key, mask_id
    return next_click(predicted, truth, ignore=ignore, clicked=clicked)


def next_drawn_click(
    predicted: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"],
    *,
    ignore: Bool[np.ndarray, "h w"] | None = None,
    clicked: Sequence[Click] = (),
    seed: int,
    key: str,
    mask_id: int,
    factor: float = 2.0,
) -> Click:
    """Return a click drawn from the `inner` part of the errors, of the sign of `next_click`.

    The draw depends on the seed, the sample's key, the mask's id and the number of clicks so far.
    Where nothing is wrong it is, as there, a negative click at the first pixel.

    Example:
        >>> truth = np.ones((3, 3), bool)
        >>> next_drawn_click(~truth, truth, seed=0, key="a", mask_id=1)
        Click(x=1, y=1, positive=True)
        >>> next_drawn_click(truth, truth, seed=0, key="a", mask_id=1)  # nothing is wrong
        Click(x=0, y=0, positive=False)
    """
    missed, excess = error_depths(predicted, truth, ignore=ignore, clicked=clicked)
    positive = bool(missed.max() > excess.max())
    candidates = inner(missed if positive else excess, factor)
    if not candidates.any():
        return Click(0, 0, False)
    # the first click is the one that `random_click` or `inner_click` draws from the mask
    rounds = (len(clicked),) if clicked else ()
    return _draw(candidates, positive, _generator(seed, key, mask_id, *rounds))


class Clicker(Protocol):
    """Choose the click that follows `clicked` in reply to a prediction; at first to an empty one.

    `seed`, `key` (of the sample) and `mask_id` name the draw, where there is one.

    Example:
        >>> clicker: Clicker = CLICKERS["center"]
        >>> truth = np.ones((3, 3), bool)
        >>> clicker(~truth, truth, seed=0, key="a", mask_id=1)
        Click(x=1, y=1, positive=True)
    """

    def __call__(
        self,
        predicted: Bool[np.ndarray, "h w"],
        truth: Bool[np.ndarray, "h w"],
        *,
        ignore: Bool[np.ndarray, "h w"] | None = None,
        clicked: Sequence[Click] = (),
        seed: int,
        key: str,
        mask_id: int,
    ) -> Click:
        """Return the next click."""
        ...


#: Ways to choose the next click, by the name that commands and params.yaml use.
CLICKERS: Mapping[str, Clicker] = {
    "center": next_center_click,
    "inner": next_drawn_click,
    "random": partial(next_drawn_click, factor=math.inf),
}


def _generator(*name: object) -> np.random.Generator:
    """Return a generator that depends on the parts of a name only."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _draw(
    candidates: Bool[np.ndarray, "h w"], positive: bool, generator: np.random.Generator
) -> Click:
    """Return a click on one of the candidates, each as likely as the others."""
    pixels = np.flatnonzero(candidates)
    row, column = divmod(int(pixels[generator.integers(len(pixels))]), candidates.shape[1])
    return Click(column, row, positive)


def _box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Return the box x, y, w, h of a mask that is not empty."""
    x, y, width, height = masks.boxes_xywh(mask[None])[0].tolist()
    if width == 0:
        raise ValueError("an empty mask has no pixel to click; leave it out")
    return x, y, width, height
