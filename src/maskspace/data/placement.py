"""How an image sits in a canvas of another size: letterbox or stretch, for pixels, masks, clicks.

Coordinates are continuous: pixel (x, y) covers [x, x + 1) x [y, y + 1), its centre is at
(x + 1/2, y + 1/2). A placement is whole numbers only, so that going there and back is exact.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image

from maskspace.types import Click


@dataclass(frozen=True, kw_only=True)
class Placement:
    """An image of `source_hw` scaled to `inner_hw` and laid at row, column `corner_yx`."""

    source_hw: tuple[int, int]
    inner_hw: tuple[int, int]
    corner_yx: tuple[int, int]
    canvas_hw: tuple[int, int]


def letterbox(source_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> Placement:
    """Return the largest placement that keeps the aspect, to a pixel, in the canvas's middle."""
    _refuse_empty(source_hw, canvas_hw)
    height, width = source_hw
    rows, columns = canvas_hw
    if rows * width <= columns * height:  # the height fills the canvas
        inner = (rows, max(1, (2 * width * rows + height) // (2 * height)))
    else:
        inner = (max(1, (2 * height * columns + width) // (2 * width)), columns)
    corner = ((rows - inner[0]) // 2, (columns - inner[1]) // 2)
    return Placement(source_hw=source_hw, inner_hw=inner, corner_yx=corner, canvas_hw=canvas_hw)


def stretch(source_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> Placement:
    """Return the placement that fills the canvas, whatever that does to the aspect."""
    _refuse_empty(source_hw, canvas_hw)
    return Placement(source_hw=source_hw, inner_hw=canvas_hw, corner_yx=(0, 0), canvas_hw=canvas_hw)


def _refuse_empty(source_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> None:
    if min(*source_hw, *canvas_hw) < 1:
        raise ValueError(f"image {source_hw} and canvas {canvas_hw} (h, w) need a pixel each")


def place_image(
    image: UInt8[np.ndarray, "h w 3"], placement: Placement, *, fill: int = 0
) -> UInt8[np.ndarray, "r s 3"]:
    """Return the canvas with the image, bilinear and antialiased, on a border of value `fill`."""
    _refuse_other_size(image.shape[:2], placement.source_hw)
    rows, columns = placement.inner_hw
    if (rows, columns) != placement.source_hw:
        resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
        image = np.asarray(resized)
    canvas = np.full((*placement.canvas_hw, 3), fill, np.uint8)
    canvas[_inner(placement)] = image
    return canvas


def place_masks(
    masks: Bool[np.ndarray, "n h w"], placement: Placement
) -> Bool[np.ndarray, "n r s"]:
    """Return masks of the canvas, by nearest neighbour; the border is in none."""
    _refuse_other_size(masks.shape[1:], placement.source_hw)
    rows, columns = _nearest(placement.source_hw, placement.inner_hw)
    canvas = np.zeros((len(masks), *placement.canvas_hw), bool)
    canvas[(slice(None), *_inner(placement))] = masks[:, rows[:, None], columns]
    return canvas


def unplace_masks(
    masks: Bool[np.ndarray, "n r s"], placement: Placement
) -> Bool[np.ndarray, "n h w"]:
    """Return masks of the source from masks of the canvas, by nearest neighbour."""
    _refuse_other_size(masks.shape[1:], placement.canvas_hw)
    rows, columns = _nearest(placement.inner_hw, placement.source_hw)
    return masks[(slice(None), *_inner(placement))][:, rows[:, None], columns]


def place_points(
    points_xy: Float[np.ndarray, "k 2"], placement: Placement
) -> Float[np.ndarray, "k 2"]:
    """Return points of the canvas for points of the source, in continuous coordinates."""
    inner_xy, source_xy, corner_xy = _factors(placement)
    return points_xy * inner_xy / source_xy + corner_xy


def unplace_points(
    points_xy: Float[np.ndarray, "k 2"], placement: Placement
) -> Float[np.ndarray, "k 2"]:
    """Return points of the source for points of the canvas, also for those on the border."""
    inner_xy, source_xy, corner_xy = _factors(placement)
    return (points_xy - corner_xy) * source_xy / inner_xy


def place_click(click: Click, placement: Placement) -> Click:
    """Return the click on the canvas pixel that holds the centre of the clicked one.

    Where the image is not shrunk, `unplace_click` gives the first click back.
    """
    (y, x), (rows, columns) = placement.corner_yx, placement.inner_hw
    height, width = placement.source_hw
    _refuse_outside(click, (0, 0), placement.source_hw)
    return Click(
        x + (2 * click.x + 1) * columns // (2 * width),
        y + (2 * click.y + 1) * rows // (2 * height),
        click.positive,
    )


def unplace_click(click: Click, placement: Placement) -> Click:
    """Return the click on the source pixel that holds the centre of the canvas pixel.

    Where the image is not enlarged, `place_click` gives the first click back. ValueError for a
    click on the border, where no image is.
    """
    (y, x), (rows, columns) = placement.corner_yx, placement.inner_hw
    height, width = placement.source_hw
    _refuse_outside(click, placement.corner_yx, placement.inner_hw)
    return Click(
        (2 * (click.x - x) + 1) * width // (2 * columns),
        (2 * (click.y - y) + 1) * height // (2 * rows),
        click.positive,
    )


def _refuse_outside(click: Click, corner_yx: tuple[int, int], size_hw: tuple[int, int]) -> None:
    (top, left), (height, width) = corner_yx, size_hw
    if not (left <= click.x < left + width and top <= click.y < top + height):
        raise ValueError(f"click ({click.x}, {click.y}) is not on the image")


def _refuse_other_size(size_hw: tuple[int, ...], expected_hw: tuple[int, int]) -> None:
    if size_hw != expected_hw:
        raise ValueError(f"the placement is of {expected_hw} (h, w), the array is {size_hw}")


def _inner(placement: Placement) -> tuple[slice, slice]:
    (y, x), (rows, columns) = placement.corner_yx, placement.inner_hw
    return slice(y, y + rows), slice(x, x + columns)


def _nearest(
    from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " s"]]:
    """Return the row and column of `from_hw` that hold the centres of those of `to_hw`."""
    rows, columns = (
        (2 * np.arange(to, dtype=np.int64) + 1) * source // (2 * to)
        for source, to in zip(from_hw, to_hw, strict=True)
    )
    return rows, columns


def _factors(placement: Placement) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes = (placement.inner_hw, placement.source_hw, placement.corner_yx)
    inner, source, corner = (np.array(size[::-1], np.float64) for size in sizes)
    return inner, source, corner
