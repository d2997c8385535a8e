"""Random overlapping rectangles on black: the simplest images, whose instances colour alone gives.

The mean over the channels is the same for every colour, so brightness tells no two apart. Two
rectangles may have one colour, but not where they touch. Hence on plain images (no noise, no
shading) the connected components of equal colour are exactly the truth.
"""

from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import ndimage

from maskspace.data.annotations import annotate
from maskspace.data.drawn import drawn
from maskspace.data.images import encode_png
from maskspace.data.source import Source, generated
from maskspace.masks import from_label_map, split_components
from maskspace.randomness import Use, image_generator
from maskspace.types import Sample

#: Mean over the channels of every colour, in grey levels.
COLOUR_MEAN = 128
#: Two colours of an image differ by at least this much in some channel, in grey levels.
COLOUR_DISTANCE = 40
#: An image has at least three components of this share of its pixels: 256 pixels of 64 x 64.
LARGE = 1 / 16


@drawn
def read_rectangles(
    root: str,
    *,
    seed: int,
    limit: int | None,
    size_hw: tuple[int, int] = (64, 64),
    rectangles: tuple[int, int] = (5, 9),
    repeat: float = 0.3,
    noise: float = 0.0,
    shading: float = 0.0,
) -> Source:
    """Return `limit` drawn images, with a mask for each 4-connected visible component.

    Args:
        root: not read.
        seed: chooses the images; the same seed gives the same images.
        limit: number of images, >= 0; None is refused.
        size_hw: rows and columns, each at least 16 (default 64 x 64).
        rectangles: fewest and most rectangles, in 4..40 (default 5 to 9).
        repeat: probability in [0, 1] that a rectangle takes the colour of one that it does not
            touch (default 0.3).
        noise: standard deviation of Gaussian noise, in grey levels, >= 0 (default 0: none).
        shading: amplitude in [0, 1) of a smooth field of light around 1 that multiplies the image
            (default 0: none).

    Raises ValueError for an option outside of its range.

    Example:
        >>> source = read_rectangles("", seed=0, limit=2)
        >>> source.keys, source[0].size_hw
        (('rectangles-000000', 'rectangles-000001'), (64, 64))
        >>> again = read_rectangles("", seed=0, limit=2)
        >>> source[1] == again[1]  # the same seed, the same image
        True
    """
    if min(size_hw) < 16 or not 4 <= rectangles[0] <= rectangles[1] <= 40:
        raise ValueError("rectangles: size_hw is at least 16 a side, rectangles in 4..40")
    if not (0 <= repeat <= 1 and noise >= 0 and 0 <= shading < 1):
        raise ValueError("rectangles: repeat is in [0, 1], noise >= 0, shading in [0, 1)")
    draw_sample = partial(
        _sample,
        seed=seed,
        size_hw=size_hw,
        rectangles=rectangles,
        repeat=repeat,
        noise=noise,
        shading=shading,
    )
    return generated("rectangles", limit=limit, read=draw_sample)


def _sample(
    index: int,
    *,
    seed: int,
    size_hw: tuple[int, int],
    rectangles: tuple[int, int],
    repeat: float,
    noise: float,
    shading: float,
) -> Sample:
    rng = image_generator(Use.RECTANGLES, seed, index)
    painted, labels = _paint(rng, size_hw, rectangles)
    colours = _colours(rng, _touching(painted), repeat)
    image = colours[painted] * light_field(rng, size_hw, shading)[..., None]
    image += noise * rng.standard_normal(image.shape)
    _, masks = from_label_map(labels)
    return Sample(
        key=f"rectangles-{index:06d}",
        dataset="rectangles",
        image=encode_png(np.clip(np.rint(image), 0, 255).astype(np.uint8)),
        extension="png",
        size_hw=size_hw,
        annotations=annotate(masks),
        licence="CC0-1.0",
        source=f"generated, seed {seed}",
    )


def _paint(
    rng: np.random.Generator, size_hw: tuple[int, int], rectangles: tuple[int, int]
) -> tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
    """Return the rectangle that shows at each pixel (0: none), and the components of that map."""
    while True:
        painted = np.zeros(size_hw, np.int64)
        for number in range(1, int(rng.integers(*rectangles, endpoint=True)) + 1):
            shares = (
                rng.uniform(0.06, 0.22, 2) if rng.random() < 0.35 else rng.uniform(0.25, 0.6, 2)
            )
            sides = np.maximum(2, np.rint(shares * size_hw)).astype(int)
            top, left = (
                int(rng.integers(0, s - side + 1)) for s, side in zip(size_hw, sides, strict=True)
            )
            painted[top : top + sides[0], left : left + sides[1]] = number
        labels = split_components(painted)
        if np.sum(np.bincount(labels.ravel())[1:] >= LARGE * labels.size) >= 3:
            return painted, labels


def _touching(painted: Int64[np.ndarray, "h w"]) -> Bool[np.ndarray, "n n"]:
    """Return which pairs of rectangles have 4-neighbouring pixels; index 0 is the background."""
    touching = np.zeros((int(painted.max()) + 1,) * 2, bool)
    for one, other in ((painted[1:], painted[:-1]), (painted[:, 1:], painted[:, :-1])):
        touching[one, other] = touching[other, one] = True
    return touching


def _colours(
    rng: np.random.Generator, touching: Bool[np.ndarray, "n n"], repeat: float
) -> Float64[np.ndarray, "n 3"]:
    """Return a colour for each rectangle and black for the background."""
    colours = np.zeros((len(touching), 3))
    for number in range(1, len(touching)):
        touching_colours = {tuple(colours[other]) for other in np.flatnonzero(touching[number])}
        free_colours = [
            c for c in dict.fromkeys(map(tuple, colours[1:number])) if c not in touching_colours
        ]
        if free_colours and rng.random() < repeat:
            colours[number] = free_colours[int(rng.integers(len(free_colours)))]
        else:
            colours[number] = _new_colour(rng, colours[1:number])
    return colours


def _new_colour(
    rng: np.random.Generator, used: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " 3"]:
    """Return a colour of the common mean, far from the used ones while there is room."""
    least_distance = COLOUR_DISTANCE
    while True:
        for _ in range(100):
            first, second = rng.integers(0, 256, 2)
            third = 3 * COLOUR_MEAN - first - second
            colour = rng.permutation([first, second, third]).astype(np.float64)
            distances = (
                np.abs(used - colour).max(axis=1, initial=0) if len(used) else np.array([255])
            )
            if 0 <= third <= 255 and distances.min() >= max(1, least_distance):
                return colour
        least_distance //= 2


def light_field(
    rng: np.random.Generator, size_hw: tuple[int, int], amplitude: float
) -> Float64[np.ndarray, "h w"]:
    """Return a smooth random field of values from 1 - `amplitude` to 1 + `amplitude`.

    Example:
        >>> field = light_field(np.random.default_rng(0), (8, 8), 0.2)
        >>> field.shape, abs(field - 1).max().round(6).item()
        ((8, 8), 0.2)
    """
    coarse = ndimage.zoom(rng.uniform(-1, 1, (3, 3)), 4, order=1)
    rows, columns = (np.linspace(0, 11, size) for size in size_hw)
    field = ndimage.map_coordinates(coarse, np.meshgrid(rows, columns, indexing="ij"), order=1)
    smooth = ndimage.gaussian_filter(field, np.array(size_hw) / 8, mode="nearest")
    return 1 + amplitude * smooth / max(float(np.abs(smooth).max()), 1e-9)
