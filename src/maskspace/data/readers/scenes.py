"""Nested scenes: objects with parts with sub-parts, painted so that every level can be seen.

Masks are what is visible. An object in front takes its pixels from all masks of the object behind,
so that a part stays inside its object. The background is unlabelled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy import ndimage

from maskspace.data.annotations import annotate
from maskspace.data.drawn import drawn
from maskspace.data.images import encode_png
from maskspace.data.readers.rectangles import light_field
from maskspace.data.readers.textures import TEXTURES
from maskspace.data.source import Source, generated
from maskspace.randomness import Use, image_generator
from maskspace.types import Sample

#: Levels of nesting: objects, parts, sub-parts.
DEPTH = 3
#: Least and largest distance of a region's colour to the one around it (Euclidean, grey levels).
COLOUR_STEP = (55.0, 95.0)
#: A region is in the scene only if at least this share of it, and so many pixels, are visible.
VISIBLE = 0.4
SMALLEST = 12


@drawn
def read_scenes(
    root: str,
    *,
    seed: int,
    limit: int | None,
    size_hw: tuple[int, int] = (96, 96),
    objects: tuple[int, int] = (2, 4),
    texture: float = 9.0,
) -> Source:
    """Return `limit` drawn scenes.

    Args:
        root: not read.
        seed: chooses the scenes; the same seed gives the same scenes.
        limit: number of scenes, >= 0; None is refused.
        size_hw: rows and columns, each at least 48 (default 96 x 96).
        objects: fewest and most objects, in 1..20 (default 2 to 4).
        texture: largest standard deviation of the texture on a region, in grey levels, >= 0
            (default 9).

    Raises ValueError for an option outside of its range.

    Example:
        >>> sample = read_scenes("", seed=0, limit=1)[0]
        >>> sample.size_hw
        (96, 96)
        >>> ids = {one.id for one in sample.annotations}
        >>> {one.parent for one in sample.annotations} & ids != set()  # some are parts of others
        True
    """
    if min(size_hw) < 48 or not 1 <= objects[0] <= objects[1] <= 20 or texture < 0:
        raise ValueError("scenes: size_hw is at least 48 a side, objects in 1..20, texture >= 0")
    draw_sample = partial(_sample, seed=seed, size_hw=size_hw, objects=objects, texture=texture)
    return generated("scenes", limit=limit, read=draw_sample)


def _sample(
    index: int, *, seed: int, size_hw: tuple[int, int], objects: tuple[int, int], texture: float
) -> Sample:
    rng = image_generator(Use.SCENES, seed, index)
    image, masks = draw_scene(rng, size_hw, objects=objects, texture=texture)
    return Sample(
        key=f"scenes-{index:06d}",
        dataset="scenes",
        image=encode_png(image),
        extension="png",
        size_hw=size_hw,
        annotations=annotate(masks),
        licence="CC0-1.0",
        source=f"generated, seed {seed}",
    )


@dataclass(frozen=True, eq=False)
class _Region:
    """A shape before occlusion, its colour, and the number of the object that it belongs to."""

    mask: Bool[np.ndarray, "h w"]
    colour: Float64[np.ndarray, " 3"]
    owner: int


def draw_scene(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    *,
    objects: tuple[int, int],
    texture: float,
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "n h w"]]:
    """Return an image and its visible masks, each object before its parts.

    A region is left out of the scene where less than 40 % of it, or fewer than 12 pixels, would be
    visible, so that no annotation stands for a remnant.

    Args:
        rng: the generator.
        size_hw: rows and columns.
        objects: fewest and most objects.
        texture: as in `read_scenes`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> image, masks = draw_scene(rng, (64, 64), objects=(2, 2), texture=0.0)
        >>> image.shape, masks.any(axis=(1, 2)).all().item()
        ((64, 64, 3), True)
    """
    background = rng.uniform(40, 215, 3)
    regions = list(_objects(rng, size_hw, objects, background))
    masks = _visible(regions)
    full_areas = np.array([region.mask.sum() for region in regions])
    is_visible = masks.sum(axis=(1, 2)) >= np.maximum(VISIBLE * full_areas, SMALLEST)
    regions = [region for region, visible in zip(regions, is_visible, strict=True) if visible]
    return _paint(rng, background, regions, masks[is_visible], texture), masks[is_visible]


def _objects(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    objects: tuple[int, int],
    background: Float64[np.ndarray, " 3"],
) -> Iterator[_Region]:
    visible: list[np.ndarray] = []
    least_visible: list[float] = []
    colours = [background]
    for owner in range(int(rng.integers(*objects, endpoint=True))):
        mask = _place(rng, size_hw, visible, least_visible)
        visible = [*(other & ~mask for other in visible), mask]
        least_visible.append(0.5 * float(mask.sum()))
        colours.append(_other_colour(rng, background, colours))
        yield _Region(mask, colours[-1], owner)
        yield from _parts(rng, mask, colours[-1], owner, depth=2)


def _place(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    shown: list[np.ndarray],
    least: list[float],
) -> Bool[np.ndarray, "h w"]:
    """Return the mask of an object that leaves each earlier object enough visible pixels.

    `shown` holds the visible part of each earlier object, `least` the pixels that it has to keep.
    After a hundred places without room the object is drawn smaller.
    """
    radius = float(rng.uniform(0.17, 0.28) * min(size_hw))
    while True:
        for _ in range(100):
            mask = blob(rng, size_hw, rng.uniform(0.2, 0.8, 2) * size_hw, radius)
            if all(
                (visible & ~mask).sum() >= fewest
                for visible, fewest in zip(shown, least, strict=True)
            ):
                return mask
        radius *= 0.8


def _parts(
    rng: np.random.Generator,
    whole: Bool[np.ndarray, "h w"],
    colour: Float64[np.ndarray, " 3"],
    owner: int,
    *,
    depth: int,
) -> Iterator[_Region]:
    """Yield one to three parts of `whole`, each followed by its own parts."""
    is_free = np.asarray(ndimage.binary_erosion(whole), bool)
    for _ in range(int(rng.integers(1, 4))):
        room = np.asarray(ndimage.distance_transform_edt(np.pad(is_free, 1)))[1:-1, 1:-1]
        if room.max() < max(3.5, 0.02 * min(whole.shape)):
            return
        weight = np.where(room > 0.7 * room.max(), room, 0).ravel()
        place = divmod(int(rng.choice(weight.size, p=weight / weight.sum())), whole.shape[1])
        radius = float(room[place] * rng.uniform(0.8, 1.1))
        mask = blob(rng, whole.shape, np.array(place, np.float64), radius) & is_free
        if mask.sum() < 12:
            return
        part_colour = _other_colour(rng, colour)
        yield _Region(mask, part_colour, owner)
        if depth < DEPTH:
            yield from _parts(rng, mask, part_colour, owner, depth=depth + 1)
        is_free &= ~np.asarray(ndimage.binary_dilation(mask), bool)


def blob(
    rng: np.random.Generator,
    size_hw: tuple[int, ...],
    centre: Float64[np.ndarray, " 2"],
    radius: float,
) -> Bool[np.ndarray, "h w"]:
    """Return the mask of a random ellipse, rounded rectangle or wavy disc.

    Args:
        rng: the generator.
        size_hw: rows and columns of the mask.
        centre: row and column of the centre.
        radius: about the mean radius, in pixels.

    Example:
        >>> mask = blob(np.random.default_rng(0), (32, 32), np.array([16.0, 16.0]), 8.0)
        >>> mask[16, 16].item(), mask[0, 0].item()
        (True, False)
    """
    angle, aspect = rng.uniform(0, np.pi), np.exp(rng.uniform(-0.35, 0.35))
    reach = 1.18 * radius * np.exp(0.35)  # of the widest shape: a wave on the longest ellipse
    first = np.maximum(np.floor(centre - reach), 0).astype(int)
    last = np.minimum(np.ceil(centre + reach) + 1, size_hw).astype(int)
    down = np.arange(first[0], last[0])[:, None] - centre[0]
    right = np.arange(first[1], last[1])[None, :] - centre[1]
    along = (down * np.cos(angle) + right * np.sin(angle)) / (radius * aspect)
    across = (right * np.cos(angle) - down * np.sin(angle)) / (radius / aspect)
    mask = np.zeros(size_hw, bool)
    mask[first[0] : last[0], first[1] : last[1]] = _inside(rng, along, across)
    return mask


def _inside(
    rng: np.random.Generator, along: Float64[np.ndarray, "r s"], across: Float64[np.ndarray, "r s"]
) -> Bool[np.ndarray, "r s"]:
    """Return the pixels inside a random kind of shape, of radius about 1 around the origin."""
    kind = rng.choice(["ellipse", "rectangle", "wavy"])
    if kind == "ellipse":
        return along**2 + across**2 <= 1
    if kind == "rectangle":
        return (along**2) ** 3 + (across**2) ** 3 <= 0.85**6
    waves = float(rng.integers(3, 6)) * np.arctan2(across, along) + rng.uniform(0, 2 * np.pi)
    return along**2 + across**2 <= (1 + 0.18 * np.sin(waves)) ** 2


def _other_colour(
    rng: np.random.Generator,
    colour: Float64[np.ndarray, " 3"],
    others: Sequence[Float64[np.ndarray, " 3"]] = (),
) -> Float64[np.ndarray, " 3"]:
    """Return a colour that differs visibly from `colour`, and from `others` if there is room."""
    distance = 40.0
    while True:
        step = rng.standard_normal(3)
        new = colour + step / np.linalg.norm(step) * rng.uniform(*COLOUR_STEP)
        distance *= 0.98
        is_near = any(np.linalg.norm(new - other) < distance for other in others)
        if not is_near and new.min() >= 25 and new.max() <= 230:
            return new


def _visible(regions: list[_Region]) -> Bool[np.ndarray, "n h w"]:
    """Return each mask without the pixels of the objects in front of it, which come later."""
    masks = np.stack([region.mask for region in regions])
    covered = np.zeros(masks.shape[1:], bool)
    for owner in range(max(region.owner for region in regions), -1, -1):
        indices = [index for index, region in enumerate(regions) if region.owner == owner]
        masks[indices] &= ~covered
        covered |= masks[indices].any(axis=0)
    return masks


def _paint(
    rng: np.random.Generator,
    background: Float64[np.ndarray, " 3"],
    regions: list[_Region],
    masks: Bool[np.ndarray, "n h w"],
    texture: float,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image: the background, then every region, parts over objects, under one light."""
    _, height, width = masks.shape
    image = np.zeros((height, width, 3))
    colours = [background, *(region.colour for region in regions)]
    for colour, mask in zip(colours, [np.ones((height, width), bool), *masks], strict=True):
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        mask_in_box = mask[box]
        kind = TEXTURES[sorted(TEXTURES)[int(rng.integers(len(TEXTURES)))]]
        rows, columns = (side.stop - side.start for side in box)
        pattern = kind(rng, (rows, columns)) * rng.uniform(0.2, 1.0) * texture
        image[box][mask_in_box] = colour + pattern[mask_in_box][:, None]
    image *= light_field(rng, (height, width), 0.12)[..., None]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
