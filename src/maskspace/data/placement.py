"""How a piece of an image lies in a square of another size: stretched, or with its aspect kept.

Coordinates are continuous: pixel (x, y) covers [x, x + 1) x [y, y + 1), and its centre is at
(x + 1/2, y + 1/2). A placement has whole numbers only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64


@dataclass(frozen=True, kw_only=True)
class Placement:
    """An image scaled and laid on a canvas.

    source_hw: size of the image.
    inner_hw: size to which it is scaled.
    corner_yx: row and column of its corner on the canvas.
    canvas_hw: size of the canvas.

    Example:
        >>> placement = letterbox((30, 60), (8, 8))
        >>> placement.inner_hw, placement.corner_yx
        ((4, 8), (2, 0))
    """

    source_hw: tuple[int, int]
    inner_hw: tuple[int, int]
    corner_yx: tuple[int, int]
    canvas_hw: tuple[int, int]

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and columns of the canvas that the image covers."""
        (y, x), (rows, columns) = self.corner_yx, self.inner_hw
        return slice(y, y + rows), slice(x, x + columns)

    @property
    def nearest(self) -> tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " s"]]:
        """The source rows and columns that hold the centres of the scaled rows and columns."""
        rows, columns = (
            (2 * np.arange(to, dtype=np.int64) + 1) * source // (2 * to)
            for source, to in zip(self.source_hw, self.inner_hw, strict=True)
        )
        return rows, columns


def letterbox(source_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> Placement:
    """Return the largest placement in the canvas's middle that keeps the aspect, to a pixel.

    Example:
        >>> letterbox((30, 60), (8, 8)).inner_hw
        (4, 8)
    """
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
    """Return the placement that fills the canvas; the aspect changes.

    Example:
        >>> stretch((30, 60), (8, 8)).inner_hw
        (8, 8)
    """
    _refuse_empty(source_hw, canvas_hw)
    return Placement(source_hw=source_hw, inner_hw=canvas_hw, corner_yx=(0, 0), canvas_hw=canvas_hw)


def _refuse_empty(source_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> None:
    if min(*source_hw, *canvas_hw) < 1:
        raise ValueError(f"image {source_hw} and canvas {canvas_hw} (h, w) need a pixel each")
