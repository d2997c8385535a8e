"""Draw a click from a mask, or the next click from the error between two masks.

The centre is that of SegNext's evaluation (Q. Liu et al., 2024, arXiv 2404.00741): the deepest
pixel; of equally deep ones the first in row-major order. The inner part of a mask is RITM's (K.
Sofiiuk et al., 2021, arXiv 2102.06583): the pixels deeper than a share of the largest depth.
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
    """Return each pixel's exact Euclidean distance to the nearest pixel outside; 0 outside.

    Everything beyond the border of the image is outside.

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
    """Return a positive click on the deepest pixel; of equal ones the topmost, then leftmost.

    ValueError for an empty mask.

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

    The draw depends on the seed, the sample's key and the mask's id alone, never on earlier draws.
    ValueError for an empty mask.

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
    """Return a positive click drawn uniformly from the inner part of the mask.

    The inner part are the pixels deeper than the largest depth / `factor`. The draw depends on the
    same values as that of `random_click`. ValueError for an empty mask.

    Example:
        >>> mask = np.ones((3, 3), bool)  # only its centre is deep enough
        >>> inner_click(mask, seed=0, key="a", mask_id=1)
        Click(x=1, y=1, positive=True)
    """
    _box(mask)
    return _draw(inner(depth(mask), factor), True, _generator(seed, key, mask_id))


def inner(depths: Float64[np.ndarray, "h w"], factor: float) -> Bool[np.ndarray, "h w"]:
    """Return the pixels deeper than the largest depth / `factor`; none if all depths are 0.

    An infinite factor gives all pixels inside. ValueError for a factor of 1 or less.

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
    """Return the depths of the missed part and of the excess of a prediction.

    Ignored pixels are no errors; errors end at them. Pixels that were clicked get depth 0 at the
    end, which changes nothing for their neighbours.

    Args:
        predicted: the predicted mask.
        truth: the true mask.
        ignore: pixels that do not count (default None: all count).
        clicked: the clicks so far (default: none).

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
    """Return a click on the deepest pixel of the errors; of equal ones the first in row order.

    It is positive if the missed part is strictly deeper than the excess. If nothing is wrong, or
    every wrong pixel was clicked, it is a negative click on the first pixel.

    Args:
        predicted: the predicted mask.
        truth: the true mask.
        ignore: pixels that do not count (default None: all count).
        clicked: the clicks so far (default: none).

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
    """Return `next_click` for any seed, key and mask id: nothing is drawn.

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
    """Return a click drawn from the `inner` part of the errors, with the sign of `next_click`.

    The draw depends on the seed, the sample's key, the mask's id and the number of clicks so far.
    If nothing is wrong it is a negative click on the first pixel.

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
    """Chooses the next click by a prediction; the first prediction is empty.

    `seed`, `key` (of the sample) and `mask_id` decide what is drawn, if anything is.

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
    """Return a generator that depends on the parts of a name alone."""
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
