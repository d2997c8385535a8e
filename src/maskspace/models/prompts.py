"""Clicks as dense maps: scaled to the model's square, then a disk around each.

Clicks are rows (row, column, sign): sign 1 positive, -1 negative, 0 padding.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def scale_clicks(
    clicks: Float[Tensor, "*n 3"], size_hw: tuple[int, int], size: int
) -> Float[Tensor, "*n 3"]:
    """Return clicks in pixels of an image as pixels of a square of side `size`.

    As SegNext scales them: trunc(coordinate * scale + 0.5) in float32, corner to corner, which may
    give `size` itself.
    """
    rows, columns, signs = clicks.float().unbind(-1)
    height, width = size_hw
    rows, columns = (rows * (size / height) + 0.5).trunc(), (columns * (size / width) + 0.5).trunc()
    return torch.stack([rows, columns, signs], dim=-1)


def click_disks(
    clicks: Float[Tensor, "b k 3"], size: int, radius: float
) -> Float[Tensor, "b 2 s s"]:
    """Return two maps, positive and negative: 1 within `radius` pixels of a click, else 0.

    Padding draws nothing, nor does a click whose row and column are both negative; any other click
    outside the square draws what of its disk is inside. Only the pixels around clicks are touched.
    """
    reach = math.ceil(radius)
    near = torch.arange(-reach, reach + 2, device=clicks.device)  # one more: centres may be broken
    centres, signs = clicks[..., :2], clicks[..., 2]
    rows, columns = (centres.floor().long()[..., None, :] + near[:, None]).unbind(-1)  # b k a
    distances = (rows - centres[..., 0, None]).square()[..., :, None] + (
        columns - centres[..., 1, None]
    ).square()[..., None, :]  # b k a a
    drawn = (distances <= radius**2) & _inside(rows, size)[..., :, None]
    drawn &= _inside(columns, size)[..., None, :]
    drawn &= ((signs != 0) & (centres.amax(-1) >= 0))[..., None, None]
    channel = (signs < 0).long()[..., None, None]
    pixels = (channel * size + rows[..., :, None]) * size + columns[..., None, :]
    pixels = torch.where(drawn, pixels, 2 * size * size)  # what is not drawn lands behind the maps
    maps = clicks.new_zeros(len(clicks), 2 * size * size + 1)
    return maps.scatter_(1, pixels.flatten(1), 1.0)[:, :-1].unflatten(1, (2, size, size))


def _inside(indices: Tensor, size: int) -> Tensor:
    return (indices >= 0) & (indices < size)
