"""What a click model is shown of an image: the whole, and crops in which small things are larger.

Crops as in Segment Anything (Kirillov et al. 2023, arXiv:2304.02643, appendix B): layer i, from 1,
has 2**i crops a side, all of one size, and neighbours overlap by a share of the image's shorter
side that halves from one layer to the next.
"""

from dataclasses import dataclass
from itertools import product

from jaxtyping import Shaped
from numpy import ndarray


@dataclass(frozen=True)
class View:
    """A box of the image, and its edges beyond which the image goes on."""

    box_xywh: tuple[int, int, int, int]
    open_left: bool = False
    open_top: bool = False
    open_right: bool = False
    open_bottom: bool = False

    def of(self, image: Shaped[ndarray, "h w *_"]) -> Shaped[ndarray, "r s *_"]:
        """Return what the view shows of an array of the image's size."""
        x, y, width, height = self.box_xywh
        return image[y : y + height, x : x + width]


def image_views(
    size_hw: tuple[int, int], *, layers: int, overlap: float, least: int
) -> tuple[View, ...]:
    """Return the whole image, then the crops of each layer, row by row.

    `overlap` is the share of the shorter side by which the crops of the first layer overlap. Layers
    whose crops would be shorter than `least` pixels are left out, and all after them.
    """
    height, width = size_hw
    views = [View((0, 0, width, height))]
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = round(overlap * min(size_hw) * 2 / count)
        rows, columns = (_spans(side, count, shared) for side in size_hw)
        if min(rows[0][1] - rows[0][0], columns[0][1] - columns[0][0]) < least:
            break
        views += [
            View(
                (left, top, right - left, bottom - top),
                open_left=left > 0,
                open_top=top > 0,
                open_right=right < width,
                open_bottom=bottom < height,
            )
            for (top, bottom), (left, right) in product(rows, columns)
        ]
    return tuple(views)


def _spans(side: int, count: int, shared: int) -> list[tuple[int, int]]:
    """Return where `count` equal pieces of a side begin and end, the last at the side's end."""
    length = min(side, -(-(side + shared * (count - 1)) // count))
    last = side - length
    starts = [round(last * index / (count - 1)) for index in range(count)]
    return [(start, start + length) for start in starts]
