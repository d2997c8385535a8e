"""What a click model is shown of an image: the whole, and crops in which small things are larger.

Crops are those of Segment Anything (Kirillov et al. 2023, arXiv:2304.02643, appendix B). Layer i,
from 1, has 2**i crops a side. Neighbours overlap by a share of the image's shorter side, which
halves from one layer to the next.
"""

from dataclasses import dataclass
from itertools import product
from math import ceil

from jaxtyping import Shaped
from numpy import ndarray


@dataclass(frozen=True)
class View:
    """A part of an image.

    Args:
        box_xyxy: its first column and row, and those after its last.
        layer: layer of crops, 0 for the whole image (default 0).
        open_left: True where the image goes on beyond the left edge (default False).
        open_top: the same of the top edge.
        open_right: the same of the right edge.
        open_bottom: the same of the bottom edge.

    Example:
        >>> import numpy as np
        >>> View((1, 0, 3, 1)).of(np.array([[1, 2, 3, 4]])).tolist()
        [[2, 3]]
    """

    box_xyxy: tuple[int, int, int, int]
    layer: int = 0
    open_left: bool = False
    open_top: bool = False
    open_right: bool = False
    open_bottom: bool = False

    def of(self, image: Shaped[ndarray, "h w *_"]) -> Shaped[ndarray, "r s *_"]:
        """Return the part of an array that has the image's rows and columns."""
        left, top, right, bottom = self.box_xyxy
        return image[top:bottom, left:right]


def image_views(
    size_hw: tuple[int, int], *, layers: int, overlap: float, least: int = 1
) -> tuple[View, ...]:
    """Return the view of the whole image, then the crops of each layer, column by column.

    Args:
        size_hw: rows and columns of the image.
        layers: number of layers of crops.
        overlap: overlap of the crops of the first layer, as a share of the shorter side.
        least: layers whose crops have a side below this many pixels are left out (default 1).

    Example:
        >>> [view.layer for view in image_views((64, 64), layers=1, overlap=0.34)]
        [0, 1, 1, 1, 1]
    """
    height, width = size_hw
    views = [View((0, 0, width, height))]
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = int(overlap * min(size_hw) * (2 / count))
        columns, rows = (ceil((shared * (count - 1) + side) / count) for side in (width, height))
        if min(columns, rows) < least:
            break
        steps = [[(side - shared) * index for index in range(count)] for side in (columns, rows)]
        for left, top in product(*steps):
            right, bottom = min(left + columns, width), min(top + rows, height)
            views.append(
                View(
                    (left, top, right, bottom),
                    layer,
                    open_left=left > 0,
                    open_top=top > 0,
                    open_right=right < width,
                    open_bottom=bottom < height,
                )
            )
    return tuple(views)
