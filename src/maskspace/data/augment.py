"""Crops, flips and label maps: a dense sample -> the square arrays that training reads."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from maskspace import masks as algebra
from maskspace.config import section
from maskspace.data.loader import Dense
from maskspace.data.placement import letterbox, place_image, place_masks, stretch


@section
class Crops:
    """How a training crop is taken: a window of the image, as a square of `size` pixels a side.

    "square" takes squares of `min_scale` to `max_scale` times the shorter side; "stretch" windows
    whose height and width are each as many times the image's, stretched to the square, as SegNext
    sees images in its evaluation; "letterbox" keeps the image's aspect and lays the window on
    black, as SegNext sees them in its training. `turns` by quarters and `shuffle_channels` suit
    generated images more than photos. `contrast` is the largest share added or taken, `brightness`
    the largest shift as a share of the range, half as much again in each channel by itself. With
    `augment` false nothing is drawn: the whole image, or the middle square, as it is.
    """

    size: int
    placement: Literal["square", "stretch", "letterbox"]
    augment: bool
    min_scale: float
    max_scale: float
    turns: bool
    shuffle_channels: bool
    contrast: float
    brightness: float

    def __post_init__(self) -> None:
        """Refuse what is no crop."""
        if self.size < 1 or not 0 < self.min_scale <= self.max_scale <= 1:
            raise ValueError("crops: size is at least 1, min_scale and max_scale ascend in (0, 1]")
        if not (0 <= self.contrast < 1 and 0 <= self.brightness < 1):
            raise ValueError("crops: contrast and brightness are in [0, 1)")


@dataclass(frozen=True)
class Crop:
    """A square piece of a sample: its image, and its masks with their depth in the nest.

    `ignore` marks pixels that count neither for nor against anything.
    """

    image: UInt8[np.ndarray, "s s 3"]
    masks: Bool[np.ndarray, "n s s"]
    depths: Int64[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    ignore: Bool[np.ndarray, "s s"]

    def scored(self, least: float) -> "Crop":
        """Return the crop with the masks of at least this score."""
        kept = self.scores >= least
        return replace(
            self, masks=self.masks[kept], depths=self.depths[kept], scores=self.scores[kept]
        )


def random_crop(dense: Dense, crops: Crops, generator: np.random.Generator) -> Crop:
    """Return a random window of the image as a square, flipped, turned and recoloured.

    The image is resized bilinearly, antialiased; masks by nearest neighbour; those with no pixel
    left are dropped. Without `crops.augment` the window is the whole image, or for "square" its
    middle, and nothing is changed.
    """
    size_hw = (dense.image.shape[0], dense.image.shape[1])
    window_hw = _window(size_hw, crops, generator)
    top, left = (
        int(generator.integers(whole - part + 1)) if crops.augment else (whole - part) // 2
        for whole, part in zip(size_hw, window_hw, strict=True)
    )
    inside = (slice(top, top + window_hw[0]), slice(left, left + window_hw[1]))
    fit = letterbox if crops.placement == "letterbox" else stretch
    placement = fit(window_hw, (crops.size, crops.size))
    image = place_image(dense.image[inside], placement)
    planes = np.concatenate([dense.masks[:, *inside], dense.ignore[None, *inside]])
    planes = place_masks(planes, placement)
    if crops.augment:
        turns = int(generator.integers(4)) if crops.turns else 0
        image, planes = np.rot90(image, turns), np.rot90(planes, turns, axes=(1, 2))
        if generator.integers(2):
            image, planes = image[:, ::-1], planes[:, :, ::-1]
        image = _recoloured(image, crops, generator)
    kept = planes[:-1].any(axis=(1, 2))
    return Crop(
        image=np.ascontiguousarray(image),
        masks=np.ascontiguousarray(planes[:-1][kept]),
        depths=nesting_depths(dense.ids, dense.parents)[kept],
        scores=dense.scores[kept],
        ignore=np.ascontiguousarray(planes[-1]),
    )


def _window(
    size_hw: tuple[int, int], crops: Crops, generator: np.random.Generator
) -> tuple[int, int]:
    """Return the height and width of a window."""
    height, width = size_hw
    if crops.placement == "square":
        height = width = min(size_hw)
    if not crops.augment:
        return height, width
    shares = generator.uniform(crops.min_scale, crops.max_scale, size=2)
    if crops.placement != "stretch":
        shares[1] = shares[0]
    return max(round(height * shares[0]), 1), max(round(width * shares[1]), 1)


def _recoloured(
    image: UInt8[np.ndarray, "h w 3"], crops: Crops, generator: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    if crops.shuffle_channels:
        image = image[..., generator.permutation(3)]
    contrast = 1 + crops.contrast * generator.uniform(-1, 1)
    shift = 255 * crops.brightness * (generator.uniform(-1, 1) + generator.uniform(-0.5, 0.5, 3))
    changed = (image.astype(np.float32) - 127.5) * contrast + 127.5 + shift
    return changed.clip(0, 255).astype(np.uint8)


def nesting_depths(
    ids: Int64[np.ndarray, " n"], parents: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Return for each mask how many masks contain it, along the chain of parents.

    A parent that is not among the ids counts as none.
    """
    parent_of = dict(zip(ids.tolist(), parents.tolist(), strict=True))
    depths = np.zeros(len(ids), np.int64)
    for index, mask_id in enumerate(ids.tolist()):
        above = parent_of[mask_id]
        while above in parent_of and depths[index] < len(ids):
            depths[index] += 1
            above = parent_of[above]
    return depths


def label_map_at_depth(crop: Crop, depth: int) -> Int64[np.ndarray, "s s"]:
    """Return the label map of the finest masks whose depth in the nest is at most `depth`.

    0 where no such mask is. At depth 0 these are whole objects, at the largest depth sub-parts.
    """
    chosen = crop.depths <= depth
    return algebra.to_label_map(crop.masks[chosen])


def random_label_map(crop: Crop, generator: np.random.Generator) -> Int64[np.ndarray, "s s"]:
    """Return the label map at one level of the nest, each level as likely as the others.

    Nested masks cannot be told apart in one label map; over many draws an embedding is asked for
    all levels, and pixels that share more levels end nearer to each other.
    """
    deepest = int(crop.depths.max(initial=0))
    return label_map_at_depth(crop, int(generator.integers(deepest + 1)))
