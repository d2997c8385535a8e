"""Mosaics of textures: several real and procedural textures in one image, boundaries known.

The textures differ in their statistics and hardly in their mean colour. So neither colour nor edges
tell the regions. Every pixel belongs to a region, and every region is 4-connected.
"""

from functools import partial

import numpy as np
from jaxtyping import Float64, Int64
from scipy import ndimage

from maskspace.data.annotations import annotate
from maskspace.data.drawn import drawn
from maskspace.data.images import encode_png
from maskspace.data.readers.textures import TEXTURES, crop_real, real_textures
from maskspace.data.source import Source, generated
from maskspace.masks import from_label_map, split_components
from maskspace.randomness import Use, image_generator
from maskspace.types import Sample

#: No region is smaller than this share of the image.
SMALLEST = 1 / 24


@drawn
def read_mosaics(
    root: str,
    *,
    seed: int,
    limit: int | None,
    size_hw: tuple[int, int] = (64, 64),
    regions: tuple[int, int] = (3, 6),
    real: float = 0.5,
    contrast: tuple[float, float] = (22.0, 42.0),
    mean_jitter: float = 10.0,
) -> Source:
    """Return `limit` drawn mosaics.

    Args:
        root: folder with one or more textures as PNG or JPEG files.
        seed: chooses the images; the same seed gives the same images.
        limit: number of images, >= 0; None is refused.
        size_hw: rows and columns, each at least 32 (default 64 x 64).
        regions: fewest and most regions, in 2..12 (default 3 to 6).
        real: probability in [0, 1] that a region has a real texture (default 0.5).
        contrast: least and largest standard deviation inside a region, in grey levels (default 22
            to 42).
        mean_jitter: standard deviation of the regions' mean colours, in grey levels (default 10).

    Raises ValueError for an option outside of its range and for a folder without textures.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = tempfile.mkdtemp()
        >>> Image.new("RGB", (64, 64)).save(Path(root, "grey.png"))  # one texture at least
        >>> sample = read_mosaics(root, seed=0, limit=1, size_hw=(64, 64), real=0.0)[0]
        >>> sum(one.area for one in sample.annotations) == 64 * 64  # every pixel is in a region
        True
    """
    if min(size_hw) < 32 or not 2 <= regions[0] <= regions[1] <= 12:
        raise ValueError("mosaics: size_hw is at least 32 a side, regions in 2..12")
    if not (0 <= real <= 1 and 0 <= contrast[0] <= contrast[1] and mean_jitter >= 0):
        raise ValueError("mosaics: real is in [0, 1], contrast ascends from 0, mean_jitter >= 0")
    real_textures(root)
    draw_sample = partial(
        _sample,
        root=root,
        seed=seed,
        size_hw=size_hw,
        regions=regions,
        real=real,
        contrast=contrast,
        mean_jitter=mean_jitter,
    )
    return generated("mosaics", limit=limit, read=draw_sample)


def _sample(
    index: int,
    *,
    root: str,
    seed: int,
    size_hw: tuple[int, int],
    regions: tuple[int, int],
    real: float,
    contrast: tuple[float, float],
    mean_jitter: float,
) -> Sample:
    rng = image_generator(Use.MOSAICS, seed, index)
    ids, masks = from_label_map(draw_cells(rng, size_hw, regions))
    mean = rng.uniform(100, 156, 3)
    image = np.zeros((*size_hw, 3))
    for mask, texture in zip(masks, _textures(rng, root, size_hw, len(ids), real), strict=True):
        patch = texture * rng.uniform(*contrast)
        level = mean + mean_jitter * rng.standard_normal(3) - patch[mask].mean(axis=0)
        image[mask] = (patch + level)[mask]
    return Sample(
        key=f"mosaics-{index:06d}",
        dataset="mosaics",
        image=encode_png(np.clip(np.rint(image), 0, 255).astype(np.uint8)),
        extension="png",
        size_hw=size_hw,
        annotations=annotate(masks),
        licence="CC0-1.0",
        source=f"generated, seed {seed}, textures of {root}",
    )


def _textures(
    rng: np.random.Generator, root: str, size_hw: tuple[int, int], number: int, real: float
) -> list[Float64[np.ndarray, "h w 3"]]:
    """Return a texture in colour for each region.

    A file, or a kind, comes again only after all others have been used.
    """
    files, kinds = real_textures(root), sorted(TEXTURES)
    file_order, kind_order = rng.permutation(len(files)), rng.permutation(len(kinds))
    patches = []
    for turn in range(number):
        if rng.random() < real:
            patch = crop_real(rng, files[file_order[turn % len(files)]], size_hw)
        else:
            texture = TEXTURES[kinds[kind_order[turn % len(kinds)]]](rng, size_hw)
            patch = texture[..., None] * rng.uniform(0.55, 1.0, 3)
        patches.append(patch)
    return patches


def draw_cells(
    rng: np.random.Generator, size_hw: tuple[int, int], regions: tuple[int, int]
) -> Int64[np.ndarray, "h w"]:
    """Return a label map without 0, whose regions are 4-connected and not small.

    The cells are Voronoi cells, Voronoi cells with curved borders, or the cells between two or
    three lines. Maps are drawn until one has enough regions, none of them below 1/24 of the image.

    Args:
        rng: the generator.
        size_hw: rows and columns.
        regions: fewest and most regions.

    Example:
        >>> cells = draw_cells(np.random.default_rng(0), (32, 32), (3, 3))
        >>> np.unique(cells).tolist()
        [1, 2, 3]
    """
    while True:
        kind = rng.choice(["voronoi", "curved", "lines"])
        cells = (
            _lines(rng, size_hw)
            if kind == "lines"
            else _voronoi(rng, size_hw, regions, kind == "curved")
        )
        labels = split_components(np.unique(cells, return_inverse=True)[1].reshape(size_hw) + 1)
        sizes = np.bincount(labels.ravel())[1:]
        if regions[0] <= len(sizes) <= regions[1] and sizes.min() >= SMALLEST * labels.size:
            return labels


def _voronoi(
    rng: np.random.Generator, size_hw: tuple[int, int], regions: tuple[int, int], curved: bool
) -> Int64[np.ndarray, "h w"]:
    number = int(rng.integers(*regions, endpoint=True))
    seeds = rng.uniform(0, 1, (number, 2)) * size_hw
    coordinates = np.indices(size_hw).astype(np.float64)
    if curved:
        side = min(size_hw)
        shift = ndimage.gaussian_filter(
            rng.standard_normal((2, *size_hw)), (0, side / 10, side / 10)
        )
        coordinates += shift / np.abs(shift).max() * side * rng.uniform(0.08, 0.16)
    distances = ((coordinates[None] - seeds[:, :, None, None]) ** 2).sum(axis=1)
    return distances.argmin(axis=0)


def _lines(rng: np.random.Generator, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    rows, columns = np.indices(size_hw)
    cells = np.zeros(size_hw, np.int64)
    for _ in range(int(rng.integers(2, 4))):
        angle, through = rng.uniform(0, np.pi), rng.uniform(0.25, 0.75, 2) * size_hw
        side = (rows - through[0]) * np.cos(angle) + (columns - through[1]) * np.sin(angle) > 0
        cells = 2 * cells + side
    return cells
