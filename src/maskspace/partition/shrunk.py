"""An image worked on small: clicks are brought to it, masks and maps are brought back."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from pydantic import Field

from maskspace.masks import enlarge
from maskspace.partition.resample import resize_maps
from maskspace.types import Click, shrink_image

#: Longest side of the small image, in pixels.
Side = Annotated[int, Field(ge=32)]


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A small copy of an image, and the size of the image.

    Args:
        image: the small image, uint8 RGB.
        size_hw: rows and columns of the image.

    Example:
        >>> small = shrunk(np.zeros((80, 160, 3), np.uint8), max_side=80)
        >>> small.small_hw, small.click(Click(159, 79))
        ((40, 80), Click(x=79, y=39, positive=True))
        >>> small.enlarge(np.ones((40, 80), bool)).shape
        (80, 160)
    """

    image: UInt8[np.ndarray, "r s 3"]
    size_hw: tuple[int, int]

    @property
    def small_hw(self) -> tuple[int, int]:
        """Return the size of the small image."""
        return self.image.shape[0], self.image.shape[1]

    def pixel_yx(self, click: Click) -> tuple[int, int]:
        """Return the row and column of the small image's pixel that holds the click."""
        (height, width), (rows, columns) = self.size_hw, self.small_hw
        return click.y * rows // height, click.x * columns // width

    def click(self, click: Click) -> Click:
        """Return the click on the small image."""
        y, x = self.pixel_yx(click)
        return Click(x, y, click.positive)

    def disk(self, click: Click, *, radius: float) -> Bool[np.ndarray, "r s"]:
        """Return the pixels whose centres are within `radius` small pixels of the click's pixel."""
        row, column = self.pixel_yx(click)
        rows, columns = np.ogrid[: self.small_hw[0], : self.small_hw[1]]
        return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2

    def enlarge(self, mask: Bool[np.ndarray, "r s"]) -> Bool[np.ndarray, "h w"]:
        """Return a mask of the small image at the image's size, by nearest neighbour."""
        return enlarge(mask, self.size_hw)

    def interpolate(self, map_: Float32[np.ndarray, "r s"]) -> Float32[np.ndarray, "h w"]:
        """Return a map of the small image at the image's size, bilinear."""
        return resize_maps(map_[None], self.size_hw)[0]


def shrunk(image: UInt8[np.ndarray, "h w 3"], *, max_side: int) -> Shrunk:
    """Return an image with no side above `max_side` pixels, at least 32; a smaller one is kept.

    Example:
        >>> shrunk(np.zeros((80, 160, 3), np.uint8), max_side=80).image.shape
        (40, 80, 3)
        >>> shrunk(np.zeros((4, 8, 3), np.uint8), max_side=80).image.shape  # small enough as it is
        (4, 8, 3)
    """
    return Shrunk(shrink_image(image, max_side=max_side), (image.shape[0], image.shape[1]))
