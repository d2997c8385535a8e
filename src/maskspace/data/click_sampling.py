"""Clicks to train on: drawn from the masks of a crop, or from the errors of a prediction.

`many_clicks` and `next_training_clicks` follow the training of SegNext (Q. Liu et al., 2024, arXiv
2404.00741), which is that of RITM (K. Sofiiuk et al., 2021, arXiv 2102.06583). First come clicks of
both signs, where each further click is less likely by a factor of 0.8; then clicks are simulated
from the errors. Departure: simulated clicks have rows of their own and replace none of the first
ones. `one_click` and `one_signed_click` train a model that answers each click by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy import ndimage

from maskspace import masks as algebra
from maskspace.data.chamfer import chamfer_depth
from maskspace.data.clicks import center_click

#: How much less likely each further click is.
FALL_OFF = 0.8
#: A mask is eroded by so many pixels before positive clicks are drawn, if more than so many remain.
ERODED_PIXELS, LEAST_REMAINING = 3, 10
#: The ring that negative clicks are drawn from is so wide, for each pixel of the root of the area.
RING_WIDTH = 0.1
#: How often a negative click comes from the ring, from other objects, from all that is no target.
REGION_SHARES = (0.5, 0.4, 0.1)


@dataclass(frozen=True)
class DrawnClicks:
    """Clicks, and the mask that they mean.

    clicks: rows of row, column and sign; the sign is 0 where there is no click.
    target: the mask.

    Example:
        >>> drawn = DrawnClicks(np.array([[0, 1, 1]], np.float32), np.array([[False, True]]))
        >>> row, column, sign = drawn.clicks[0].astype(int).tolist()
        >>> bool(drawn.target[row, column])
        True
    """

    clicks: Float32[np.ndarray, "k 3"]
    target: Bool[np.ndarray, "h w"]


class ClickSampler(Protocol):
    """Draws clicks from the masks of a crop and their depths in the nest.

    The number of rows depends on the options alone. None is returned for a crop without anything to
    click.

    Example:
        >>> def first_pixel(masks, depths, generator):
        ...     clicks = np.array([[*np.argwhere(masks[0])[0], 1]], np.float32)
        ...     return DrawnClicks(clicks, masks[0])
        >>> sampler: ClickSampler = first_pixel
        >>> drawn = sampler(np.ones((1, 2, 2), bool), np.zeros(1, int), np.random.default_rng(0))
        >>> drawn.clicks.tolist()
        [[0.0, 0.0, 1.0]]
    """

    def __call__(
        self,
        masks: Bool[np.ndarray, "n h w"],
        depths: Int64[np.ndarray, " n"],
        generator: np.random.Generator,
    ) -> DrawnClicks | None:
        """Return the clicks and their target."""
        ...


def many_clicks(
    masks: Bool[np.ndarray, "n h w"],
    depths: Int64[np.ndarray, " n"],
    generator: np.random.Generator,
    *,
    max_positive: int = 24,
    max_negative: int = 24,
    merge_share: float = 0.15,
    least_pixels: int = 1000,
    erode_share: float = 0.9,
    empty_share: float = 0.05,
    spare: int = 3,
) -> DrawnClicks | None:
    """Return clicks of both signs on one root object, or on two as if they were one.

    The rows hold the positive clicks, then, from row `max_positive`, the negative ones, and at the
    end `spare` empty rows for simulated clicks. The target is empty for a crop without any mask,
    and for one without a root that is large enough; all clicks are negative then. ValueError for a
    `max_positive` below 1.

    Args:
        masks: the masks of the crop.
        depths: number of masks around each mask; 0 for a root.
        generator: draws the clicks.
        max_positive: positive clicks at most, >= 1 (default 24).
        max_negative: negative clicks at most (default 24).
        merge_share: share of the crops, in [0, 1], in which two objects are taken as one (default
            0.15).
        least_pixels: pixels of a mask that is large enough (default 1000).
        erode_share: share of the objects that are eroded before positive clicks are drawn (default
            0.9).
        empty_share: share of the crops without any mask that are used (default 0.05).
        spare: rows for simulated clicks (default 3).

    Example:
        >>> masks = np.zeros((1, 40, 40), bool)
        >>> masks[0, 4:, 4:] = True
        >>> drawn = many_clicks(masks, np.zeros(1, int), np.random.default_rng(0))
        >>> drawn.clicks.shape  # 24 positive rows, 24 negative ones, 3 spare ones
        (51, 3)
        >>> bool(drawn.target[tuple(drawn.clicks[0, :2].astype(int))])
        True
    """
    if max_positive < 1:
        raise ValueError(f"max_positive must be at least 1; got {max_positive}")
    if not masks.any() and generator.random() >= empty_share:
        return None
    large = algebra.areas(masks) >= least_pixels
    chosen = _choose_roots(np.flatnonzero(large & (depths == 0)), merge_share, generator)
    target = _union(masks[chosen])
    positive = _positive_pixels(masks[chosen], max_positive, erode_share, generator)
    others = _union(masks[large]) if large.sum() > len(chosen) else ~target
    negative = _negative_pixels(target, others & ~target, max_negative, generator)
    clicks = np.zeros((max_positive + max_negative + spare, 3), np.float32)
    for first, pixels, sign in ((0, positive, 1), (max_positive, negative, -1)):
        rows = slice(first, first + len(pixels))
        clicks[rows, 0], clicks[rows, 1] = np.divmod(pixels, target.shape[1])
        clicks[rows, 2] = sign
    return DrawnClicks(clicks, target)


def one_click(
    masks: Bool[np.ndarray, "n h w"],
    depths: Int64[np.ndarray, " n"],
    generator: np.random.Generator,
    *,
    centre_share: float = 0.5,
    least_pixels: int = 64,
    power: float = 0.5,
) -> DrawnClicks | None:
    """Return one positive click on a mask of any depth; None without a large enough mask.

    Args:
        masks: the masks of the crop.
        depths: not used.
        generator: draws the mask and the click.
        centre_share: share of the clicks, in [0, 1], at the mask's deepest pixel; the others are
            anywhere inside (default 0.5).
        least_pixels: pixels of a mask that is large enough (default 64).
        power: a mask is drawn with a probability proportional to its area to this power (default
            0.5).

    Example:
        >>> masks = np.zeros((1, 11, 11), bool)
        >>> masks[0, 1:10, 1:10] = True
        >>> drawn = one_click(masks, np.zeros(1, int), np.random.default_rng(0), centre_share=1.0)
        >>> drawn.clicks.tolist()
        [[5.0, 5.0, 1.0]]
    """
    del depths
    areas = algebra.areas(masks)
    weights = np.where(areas >= max(least_pixels, 1), np.maximum(areas, 1.0) ** power, 0)
    if not weights.any():
        return None
    target = masks[generator.choice(len(masks), p=weights / weights.sum())]
    if generator.random() < centre_share:
        click = center_click(target)
        row, column = click.y, click.x
    else:
        row, column = divmod(int(_draw(target, 1, generator)[0]), target.shape[1])
    return DrawnClicks(np.array([[row, column, 1]], np.float32), target)


def one_signed_click(
    masks: Bool[np.ndarray, "n h w"],
    depths: Int64[np.ndarray, " n"],
    generator: np.random.Generator,
    *,
    positive_share: float = 0.5,
    centre_share: float = 0.5,
    least_pixels: int = 64,
    power: float = 0.5,
) -> DrawnClicks | None:
    """Return one click as `one_click` does, but some of the clicks are negative.

    The target of a negative click is the object under it, too: the region that the click removes.

    Args:
        masks: the masks of the crop.
        depths: not used.
        generator: draws the mask, the click and its sign.
        positive_share: share of positive clicks, in [0, 1] (default 0.5).
        centre_share: see `one_click` (default 0.5).
        least_pixels: see `one_click` (default 64).
        power: see `one_click` (default 0.5).

    Example:
        >>> masks = np.ones((1, 9, 9), bool)
        >>> rng = np.random.default_rng(0)
        >>> one_signed_click(masks, np.zeros(1, int), rng, positive_share=0.0).clicks[0, 2].item()
        -1.0
    """
    drawn = one_click(
        masks,
        depths,
        generator,
        centre_share=centre_share,
        least_pixels=least_pixels,
        power=power,
    )
    if drawn is not None and generator.random() >= positive_share:
        drawn.clicks[:, 2] = -1
    return drawn


#: Samplers by the name that params.yaml uses.
CLICK_SAMPLERS: Mapping[str, ClickSampler] = {
    "many": many_clicks,
    "one": one_click,
    "posneg": one_signed_click,
}


def number_shares(count: int) -> Float64[np.ndarray, " k"]:
    """Return the probability of each of `count` numbers of clicks, the smallest number first.

    Example:
        >>> number_shares(3).round(3).tolist()
        [0.41, 0.328, 0.262]
    """
    weights = FALL_OFF ** np.arange(count)
    return weights / weights.sum()


def next_training_clicks(
    probability: Float32[np.ndarray, "n h w"],
    truth: Float32[np.ndarray, "n h w"],
    generator: np.random.Generator,
    *,
    threshold: float = 0.49,
) -> Float32[np.ndarray, "n 3"]:
    """Return one click (row, column, sign) for each map, in the deeper half of its errors.

    The click is positive if the missed part is deeper than the excess, by the chamfer distance. A
    map without errors gets the sign 0.

    Args:
        probability: the predicted maps, in [0, 1].
        truth: 1 inside, 0 outside, -1 where unknown; unknown counts as outside.
        generator: draws the clicks.
        threshold: where the maps are cut (default 0.49).

    Example:
        >>> truth = np.zeros((1, 5, 5), np.float32)
        >>> truth[0, 1:4, 1:4] = 1
        >>> missed, perfect = np.zeros_like(truth), truth
        >>> rng = np.random.default_rng(0)
        >>> next_training_clicks(missed, truth, rng)[0, 2].item()
        1.0
        >>> next_training_clicks(perfect, truth, rng)[0, 2].item()
        0.0
    """
    count, _, width = truth.shape
    missed = (truth > 0.5) & (probability < threshold)
    excess = (truth <= 0.5) & (probability > threshold)
    depths = chamfer_depth(np.concatenate([missed, excess]))
    deepest = depths.max(axis=(1, 2)).reshape(2, count)
    positive = deepest[0] > deepest[1]
    clicks = np.zeros((count, 3), np.float32)
    for index in range(count):
        inside = depths[index if positive[index] else index + count]
        pixels = _draw(2 * inside > deepest[:, index].max(), 1, generator)
        if len(pixels):
            row, column = divmod(int(pixels[0]), width)
            clicks[index] = row, column, 1 if positive[index] else -1
    return clicks


def eroded(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the mask eroded by three pixels; unchanged if at most ten pixels would remain.

    The mask does not erode from the border of the image.

    Example:
        >>> mask = np.zeros((15, 15), bool)
        >>> mask[2:13, 2:13] = True
        >>> mask.sum().item(), eroded(mask).sum().item()
        (121, 25)
    """
    box = _box(mask, ERODED_PIXELS)
    smaller = np.zeros_like(mask)
    size = 2 * ERODED_PIXELS + 1
    smaller[box] = ndimage.minimum_filter(mask[box], size, mode="constant", cval=1)
    return smaller if smaller.sum() > LEAST_REMAINING else mask


def ring(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels around the mask; the ring is 0.1 sqrt(area) wide, rounded up.

    Example:
        >>> mask = np.zeros((5, 5), bool)
        >>> mask[2, 2] = True
        >>> ring(mask).astype(int).tolist()
        [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    width = ceil(RING_WIDTH * sqrt(mask.sum()))
    box = _box(mask, width)
    larger = np.zeros_like(mask)
    larger[box] = ndimage.maximum_filter(mask[box], 2 * width + 1, mode="constant", cval=0)
    return larger & ~mask


def _box(mask: Bool[np.ndarray, "h w"], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of the mask and of a margin around it, inside the image."""
    x, y, width, height = algebra.boxes_xywh(mask[None])[0].tolist()
    return (
        slice(max(y - margin, 0), y + height + margin),
        slice(max(x - margin, 0), x + width + margin),
    )


def _choose_roots(
    roots: Int64[np.ndarray, " r"], merge_share: float, generator: np.random.Generator
) -> Int64[np.ndarray, " m"]:
    """Return one of the roots, two with `merge_share`, none where there is none."""
    if len(roots) == 0:
        return roots
    number = 2 if len(roots) > 1 and generator.random() < merge_share else 1
    return generator.choice(roots, number, replace=False)


def _union(masks: Bool[np.ndarray, "n h w"]) -> Bool[np.ndarray, "h w"]:
    return np.asarray(masks.any(axis=0))


def _positive_pixels(
    objects: Bool[np.ndarray, "m h w"],
    most: int,
    erode_share: float,
    generator: np.random.Generator,
) -> Int64[np.ndarray, " k"]:
    """Return the flat indices of the positive clicks.

    One object gets 1 to `most` clicks. With several objects each gets one click, and 0 to `most`
    further ones fall on any of them; `most` in all.
    """
    inside = [eroded(mask) if generator.random() < erode_share else mask for mask in objects]
    if len(objects) == 1:
        number = 1 + generator.choice(most, p=number_shares(most))
        return _draw(inside[0], number, generator)
    if len(objects) == 0:
        return np.zeros(0, np.int64)
    num_further = generator.choice(most + 1, p=number_shares(most + 1))
    object_of_click = np.concatenate(
        [np.arange(len(objects)), generator.integers(len(objects), size=num_further)]
    )
    return _draw_each(inside, object_of_click, generator)[:most]


def _negative_pixels(
    target: Bool[np.ndarray, "h w"],
    others: Bool[np.ndarray, "h w"],
    most: int,
    generator: np.random.Generator,
) -> Int64[np.ndarray, " k"]:
    """Return the flat indices of 0 to `most` negative clicks; fewer if regions are empty."""
    number = generator.choice(most + 1, p=number_shares(most + 1))
    if not target.any():
        return _draw(~target, number, generator)
    region_of_click = generator.choice(len(REGION_SHARES), number, p=REGION_SHARES)
    return _draw_each([ring(target), others, ~target], region_of_click, generator)


def _draw_each(
    regions: list[Bool[np.ndarray, "h w"]],
    region_of_pixel: Int64[np.ndarray, " k"],
    generator: np.random.Generator,
) -> Int64[np.ndarray, " j"]:
    """Return the flat index of a pixel for each region number; none for an empty region."""
    drawn = {
        i: _draw(regions[i], int((region_of_pixel == i).sum()), generator)
        for i in np.unique(region_of_pixel).tolist()
    }
    pixels = np.full(len(region_of_pixel), -1, np.int64)
    for region, drawn_here in drawn.items():
        if len(drawn_here):
            pixels[region_of_pixel == region] = drawn_here
    return pixels[pixels >= 0]


def _draw(
    region: Bool[np.ndarray, "h w"], number: int, generator: np.random.Generator
) -> Int64[np.ndarray, " k"]:
    """Return the flat indices of pixels of a region, drawn independently; none if it is empty."""
    pixels = np.flatnonzero(region)
    return pixels[generator.integers(len(pixels), size=number)] if len(pixels) else pixels
