"""Choose a mask of a sample by its size or its level, and crop the sample so that it is kept.

index = draw_mask(level_shares(arrays), generator)
window = draw_window(arrays.masks[index], side=512, share=0.8, generator=generator)
piece = resized(cut(arrays, window), (256, 256))  # its masks[index] is the chosen one
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from maskspace.data.augment import nesting_depths
from maskspace.data.loader import Dense
from maskspace.data.placement import place_image, place_masks, stretch
from maskspace.masks import areas, boxes_xywh

_TRIES = 64  # places that are drawn at once before all are listed


@dataclass(frozen=True)
class Window:
    """A square of the image; it may reach beyond the border."""

    left: int
    top: int
    side: int


def equal_shares(arrays: Dense) -> Float64[np.ndarray, " n"]:
    """Return the same share for every mask."""
    return np.full(len(arrays.masks), 1 / max(len(arrays.masks), 1))


def area_shares(arrays: Dense, *, power: float = 0.5) -> Float64[np.ndarray, " n"]:
    """Return shares that grow with a power of the area: 1/2 is the side, 0 all equal, -1 small."""
    area = areas(arrays.masks).astype(np.float64)
    weights = np.where(area > 0, np.maximum(area, 1) ** power, 0)
    return weights / max(weights.sum(), np.finfo(np.float64).tiny)


def level_shares(arrays: Dense) -> Float64[np.ndarray, " n"]:
    """Return shares that give every nesting level that there is as much, and its masks alike."""
    depths = nesting_depths(arrays.ids, arrays.parents)
    if len(depths) == 0:
        return np.zeros(0)
    _, level, number = np.unique(depths, return_inverse=True, return_counts=True)
    return 1 / (len(number) * number[level])


#: How masks are weighed against each other.
SHARES: Mapping[str, Callable[..., np.ndarray]] = {
    "equal": equal_shares,
    "area": area_shares,
    "level": level_shares,
}


def draw_mask(shares: Float64[np.ndarray, " n"], generator: np.random.Generator) -> int:
    """Return the index of a mask; ValueError where no mask has a share."""
    if len(shares) == 0 or not shares.sum() > 0:
        raise ValueError("no mask to draw; leave the sample out")
    return int(generator.choice(len(shares), p=shares / shares.sum()))


def draw_window(
    mask: Bool[np.ndarray, "h w"],
    *,
    side: int,
    share: float,
    generator: np.random.Generator,
) -> Window:
    """Return a square that holds at least `share` of the mask, each such place as likely.

    Places inside the image come first; where none of this side is large enough, the square grows to
    the least side that is, beyond the border only where it is longer than the image.
    """
    if not 0 < share <= 1 or side < 1 or not mask.any():
        raise ValueError(f"share {share} is in (0, 1], side {side} at least 1, the mask not empty")
    counted = _Counted(mask, needed=int(np.ceil(share * np.count_nonzero(mask) - 1e-9)))
    side = counted.least_side(side)
    tops, lefts = counted.places(side)
    rows = generator.integers(len(tops), size=_TRIES)
    columns = generator.integers(len(lefts), size=_TRIES)
    held = counted.held(tops[rows], lefts[columns], side)
    good = np.flatnonzero(held >= counted.needed)
    if len(good):
        first = good[0]
        return Window(int(lefts[columns[first]]), int(tops[rows[first]]), side)
    places = np.argwhere(counted.held(tops[:, None], lefts, side) >= counted.needed)
    row, column = places[generator.integers(len(places))]
    return Window(int(lefts[column]), int(tops[row]), side)


def cut(arrays: Dense, window: Window, *, fill: int = 0) -> Dense:
    """Return the sample inside a window; beyond the border are `fill` and no mask.

    Masks stay in their order, those without a pixel in the window too.
    """
    return replace(
        arrays,
        image=_cut(arrays.image.transpose(2, 0, 1), window, fill).transpose(1, 2, 0).copy(),
        masks=_cut(arrays.masks, window, False),
        ignore=_cut(arrays.ignore[None], window, False)[0],
    )


def resized(arrays: Dense, size_hw: tuple[int, int]) -> Dense:
    """Return the sample at another size: the image bilinear and antialiased, masks by nearest."""
    placement = stretch(arrays.masks.shape[1:], size_hw)
    return replace(
        arrays,
        image=place_image(arrays.image, placement),
        masks=place_masks(arrays.masks, placement),
        ignore=place_masks(arrays.ignore[None], placement)[0],
    )


def _cut(planes: Shaped[np.ndarray, "n h w"], window: Window, fill: int) -> np.ndarray:
    height, width = planes.shape[1:]
    top, left = max(window.top, 0), max(window.left, 0)
    bottom, right = min(window.top + window.side, height), min(window.left + window.side, width)
    canvas = np.full((len(planes), window.side, window.side), fill, planes.dtype)
    rows = slice(top - window.top, bottom - window.top)
    columns = slice(left - window.left, right - window.left)
    canvas[:, rows, columns] = planes[:, top:bottom, left:right]
    return canvas


class _Counted:
    """How many pixels of a mask any square holds: a summed-area table over the mask's box."""

    def __init__(self, mask: Bool[np.ndarray, "h w"], *, needed: int) -> None:
        self.size_hw, self.needed = mask.shape, needed
        self.x, self.y, width, height = boxes_xywh(mask[None])[0].tolist()
        box = mask[self.y : self.y + height, self.x : self.x + width]
        self.sums = np.zeros((height + 1, width + 1), np.int64)
        self.sums[1:, 1:] = box.cumsum(axis=0).cumsum(axis=1)

    def held(
        self, tops: Int64[np.ndarray, "..."], lefts: Int64[np.ndarray, "..."], side: int
    ) -> Int64[np.ndarray, "..."]:
        """Return the mask's pixels in squares."""
        height, width = self.sums.shape[0] - 1, self.sums.shape[1] - 1
        top, bottom = (np.clip(tops + add - self.y, 0, height) for add in (0, side))
        left, right = (np.clip(lefts + add - self.x, 0, width) for add in (0, side))
        return (
            self.sums[bottom, right]
            - self.sums[top, right]
            - self.sums[bottom, left]
            + self.sums[top, left]
        )

    def places(self, side: int) -> tuple[Int64[np.ndarray, " i"], Int64[np.ndarray, " j"]]:
        """Return the tops and the lefts of squares that are as far inside as they can be."""
        spans = ((0, whole - side) for whole in self.size_hw)
        tops, lefts = (np.arange(min(span), max(span) + 1) for span in spans)
        # those that touch the mask's box: others hold nothing
        tops = tops[(tops + side > self.y) & (tops < self.y + self.sums.shape[0] - 1)]
        lefts = lefts[(lefts + side > self.x) & (lefts < self.x + self.sums.shape[1] - 1)]
        return tops, lefts

    def least_side(self, side: int) -> int:
        """Return the least side from `side` on with a place that holds enough."""
        low, high = side, max(side, *self.size_hw)
        while low < high:
            middle = (low + high) // 2
            if self._most(middle) >= self.needed:
                high = middle
            else:
                low = middle + 1
        return low

    def _most(self, side: int) -> int:
        """Return the most pixels that a square of this side holds.

        A square never holds less for being moved over the box, so only those inside it, or one
        that covers it, are looked at, in each direction.
        """
        height, width = self.sums.shape[0] - 1, self.sums.shape[1] - 1
        spans = ((self.y, height), (self.x, width))
        tops, lefts = (start + np.arange(max(length - side, 0) + 1) for start, length in spans)
        return int(self.held(tops[:, None], lefts, side).max())
