"""Pictures of partitions: borders over the photo, a mosaic of mean colours, colours that stay.

Everything is drawn at the size at which it is shown: a small photo is enlarged first, so that a
line runs between its pixels and hides none of them.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int, Int32, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskspace.pictures.painting import (
    INK,
    PAPER,
    outlines,
    paint_labels,
)
from maskspace.pictures.sheets import fit_image, fit_labels

#: Pixels of the longer side of a picture: a smaller photo is enlarged to at least this.
LEAST_SIDE = 960
#: The colour of a border, with ink on both sides so that it shows on any ground.
_BORDER = (255, 214, 10)


def shown_side(size_hw: tuple[int, int]) -> int:
    """Return the longer side of a photo's picture: a whole multiple of its own, or its own.

    Example:
        >>> shown_side((321, 481)), shown_side((3024, 4032))
        (962, 4032)
    """
    longest = max(size_hw)
    return longest * -(-LEAST_SIDE // longest)


def paint_borders(
    image: UInt8[np.ndarray, "h w 3"], labels: Int[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with a line on both sides of every border, wider on larger images.

    Example:
        >>> grey = np.full((3, 6, 3), 100, np.uint8)
        >>> painted = paint_borders(grey, np.array([[1, 1, 1, 2, 2, 2]] * 3))
        >>> painted[1, :, 0].tolist()  # ink, the border, ink
        [100, 33, 255, 255, 33, 100]
    """
    beside = outlines(labels) | outlines(labels[::-1, ::-1])[::-1, ::-1]
    line = _wider(beside, max(labels.shape) // 2400)
    painted = image.copy()
    painted[_wider(line, 1 + max(labels.shape) // 2400)] = INK
    painted[line] = _BORDER
    return painted


def _wider(is_line: np.ndarray, steps: int) -> np.ndarray:
    """Return a mask that reaches so many pixels farther in every direction."""
    for _ in range(steps):
        wide = is_line.copy()
        wide[1:] |= is_line[:-1]
        wide[:-1] |= is_line[1:]
        is_line = wide.copy()
        is_line[:, 1:] |= wide[:, :-1]
        is_line[:, :-1] |= wide[:, 1:]
    return is_line


def mean_colors(
    image: UInt8[np.ndarray, "h w 3"], labels: Int[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return every region in its mean colour; label 0 is white.

    Example:
        >>> image = np.array([[[0, 0, 0], [200, 100, 0], [9, 9, 9]]], np.uint8)
        >>> mean_colors(image, np.array([[1, 1, 0]]))[0].tolist()
        [[100, 50, 0], [100, 50, 0], [255, 255, 255]]
    """
    index = labels.ravel()
    areas = np.maximum(np.bincount(index), 1)
    sums = [np.bincount(index, weights=image[..., channel].ravel()) for channel in range(3)]
    palette = np.round(np.stack(sums, axis=1) / areas[:, None]).astype(np.uint8)
    palette[0] = PAPER
    return palette[labels]


def steady_labels(
    steps: Sequence[Int[np.ndarray, " a"]], areas: Int[np.ndarray, " a"]
) -> list[Int32[np.ndarray, " a"]]:
    """Return labels of nested partitions that stay: a region keeps its label until it is split.

    Then its largest part keeps the label, the first of equal ones, and the others take the next
    free labels in their order. So n regions have the labels 1..n.

    Args:
        steps: the region of every atom, from the coarsest partition to the finest.
        areas: pixels of each atom.

    Example:
        >>> halves, thirds = np.array([4, 4, 2]), np.array([5, 3, 1])
        >>> [one.tolist() for one in steady_labels([halves, thirds], np.array([1, 2, 1]))]
        [[1, 1, 2], [3, 1, 2]]
    """
    found: list[Int32[np.ndarray, " a"]] = []
    before = np.zeros(len(areas), np.int64)
    used = 0
    for step in steps:
        _, first, region = np.unique(step, return_index=True, return_inverse=True)
        size = np.bincount(region, weights=areas)
        order = np.lexsort((first, -size, before[first]))
        parent = before[first][order]
        keeps = np.diff(parent, prepend=-1) != 0
        keeps &= parent > 0  # before the first step nobody has a label
        label = np.where(keeps, parent, 0)
        new = order[~keeps]
        rank = np.empty(len(new), np.int64)
        rank[np.argsort(first[new], kind="stable")] = np.arange(1, len(new) + 1)
        label[~keeps] = used + rank
        used += len(new)
        of_region = np.empty(len(order), np.int32)
        of_region[order] = label
        before = of_region[region].astype(np.int64)
        found.append(of_region[region])
    return found


def steady_partitions(
    partition: Callable[[int], Int32[np.ndarray, "h w"]], most: int
) -> Callable[[int], Int32[np.ndarray, "h w"]]:
    """Return what gives the partitions into 1..`most` regions with labels that stay.

    `partition` gives nested partitions, each with labels from 1 to its number of regions.

    Example:
        >>> thirds = np.array([[1, 2, 3]], np.int32)
        >>> nested = {1: thirds * 0 + 1, 2: np.array([[1, 2, 2]], np.int32), 3: thirds}
        >>> steady_partitions(nested.__getitem__, 3)(3).tolist()
        [[2, 1, 3]]
    """
    finest = partition(most)
    _, first, atoms, areas = np.unique(
        finest, return_index=True, return_inverse=True, return_counts=True
    )
    atoms = atoms.reshape(finest.shape)
    steps = [partition(number).ravel()[first] for number in range(1, most + 1)]
    labels = steady_labels(steps, areas)
    return lambda number: labels[number - 1][atoms]


def slider_webp(
    image: UInt8[np.ndarray, "h w 3"],
    partition: Callable[[int], Int32[np.ndarray, "h w"]],
    *,
    numbers: Sequence[int],
    side: int = 480,
    milliseconds: int = 140,
) -> bytes:
    """Return an animated WebP: the partition into each number of regions, coarse to fine.

    Regions are in colour over the photo and keep their colour while they are not split.

    Args:
        image: the photo.
        partition: gives the partition into a number of regions.
        numbers: numbers of regions, ascending.
        side: pixels of the longer side (default 480).
        milliseconds: how long a frame is shown; the last one ten times as long (default 140).

    Example:
        >>> def halves(number):
        ...     return np.repeat(np.arange(1, number + 1, dtype=np.int32), 32 // number)[None] * (
        ...         np.ones((16, 1), np.int32))
        >>> film = slider_webp(np.zeros((16, 32, 3), np.uint8), halves, numbers=[1, 2], side=32)
        >>> Image.open(io.BytesIO(film)).n_frames
        2
    """
    shown = fit_image(image, side)
    steady = steady_partitions(
        lambda number: fit_labels(partition(number), side).astype(np.int32), numbers[-1]
    )
    frames = [
        _titled(paint_labels(shown, steady(number), opacity=0.55), f"{number} regions")
        for number in numbers
    ]
    file = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [10 * milliseconds]
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0,
        quality=80, method=4,
    )  # fmt: skip
    return file.getvalue()


def _titled(image: UInt8[np.ndarray, "h w 3"], text: str) -> Image.Image:
    """Return the image with words on a plate in its upper left corner."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(11, max(image.shape[:2]) // 30))
    left, top, right, bottom = pen.textbbox((8, 6), text, font=font)
    pen.rectangle((left - 8, top - 6, right + 8, bottom + 6), fill=INK)
    pen.text((8, 6), text, font=font, fill=PAPER)
    return picture
