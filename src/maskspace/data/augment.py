"""Crops, flips and label maps: a dense sample -> the square arrays that training reads."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image

from maskspace import masks as algebra
from maskspace.data.loader import Dense


@dataclass(frozen=True)
class Crop:
    """A square piece of a sample: its image, and its masks with their depth in the nest."""

    image: UInt8[np.ndarray, "s s 3"]
    masks: Bool[np.ndarray, "n s s"]
    depths: Int64[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]

    def scored(self, least: float) -> "Crop":
        """Return the crop with the masks of at least this score."""
        kept = self.scores >= least
        return replace(
            self, masks=self.masks[kept], depths=self.depths[kept], scores=self.scores[kept]
        )


def random_crop(
    dense: Dense, *, size: int, min_scale: float, colours: bool, generator: np.random.Generator
) -> Crop:
    """Return a random square of the image, resized to `size`, flipped and turned.

    The square's side is uniform between `min_scale` and 1 times the shorter side. The image is
    resized bilinearly, antialiased; masks by nearest neighbour; those with no pixel left are
    dropped. `colours` also shuffles the three channels and scales contrast by 0.8 to 1.2.
    """
    height, width = dense.image.shape[:2]
    side = round(min(height, width) * generator.uniform(min_scale, 1.0))
    side = min(max(side, 1), height, width)
    top = int(generator.integers(height - side + 1))
    left = int(generator.integers(width - side + 1))
    image = dense.image[top : top + side, left : left + side]
    if side != size:
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    index = ((np.arange(size) + 0.5) * side / size).astype(np.int64)
    masks = dense.masks[:, (top + index)[:, None], (left + index)[None, :]]
    turns, flip = int(generator.integers(4)), bool(generator.integers(2))
    image, masks = np.rot90(image, turns), np.rot90(masks, turns, axes=(1, 2))
    if flip:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
    if colours:
        image = _jitter(image[..., generator.permutation(3)], generator)
    kept = masks.any(axis=(1, 2))
    return Crop(
        image=np.ascontiguousarray(image),
        masks=np.ascontiguousarray(masks[kept]),
        depths=nesting_depths(dense.ids, dense.parents)[kept],
        scores=dense.scores[kept],
    )


def _jitter(image: np.ndarray, generator: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    contrast = generator.uniform(0.8, 1.2)
    return ((image.astype(np.float32) - 127.5) * contrast + 127.5).clip(0, 255).astype(np.uint8)


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
