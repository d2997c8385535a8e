"""Clicks as dense maps: scaled to the model's square, then a disk around each.

Clicks are rows (row, column, sign): sign 1 positive, -1 negative, 0 padding. Beyond SegNext's
disks, for small models trained on few photos: how every pixel lies to the clicks, in place and in
colour, which flood fill and random walkers start from and attention takes long to find by itself.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PromptName = Literal["disks", "relative"]
#: Maps of `relation_maps`: for each sign two offsets, nearness, three colours and likeness.
RELATIONS = 14


def scale_clicks(
    clicks: Float[Tensor, "*n 3"], size_hw: tuple[int, int], size: int
) -> Float[Tensor, "*n 3"]:
    """Return clicks in pixels of an image as pixels of a square of side `size`.

    As SegNext scales them: trunc(coordinate * scale + 0.5) in float32, corner to corner, which may
    give `size` itself.

    Example:
        >>> clicks = torch.tensor([[10.0, 20.0, 1.0]])  # row, column, sign
        >>> scale_clicks(clicks, (100, 100), 50).tolist()
        [[5.0, 10.0, 1.0]]
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

    Example:
        >>> click_disks(torch.tensor([[[1.0, 1.0, 1.0]]]), 3, 1.0)[0, 0].tolist()
        [[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]
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


def relation_maps(
    images: Float[Tensor, "b 3 s s"], clicks: Float[Tensor, "b p k 3"]
) -> Float[Tensor, "b p 14 s s"]:
    """Return how each pixel lies to its nearest positive click, then to its nearest negative one.

    Seven maps each: how far below and right of the click it is, in halves of the side; 4 exp(-8 r)
    for the distance r in sides; its colour less the mean of the 3 x 3 pixels around the click; and
    exp(-d) for the length d of that difference. All 0 where there is no click of the sign. Clicks
    are in pixels of the square; one outside is taken at the nearest pixel. Of clicks that are
    equally near the mean is taken.

    Example:
        >>> relation_maps(torch.zeros(1, 3, 8, 8), torch.tensor([[[[4.0, 4.0, 1.0]]]])).shape
        torch.Size([1, 1, 14, 8, 8])
    """
    size = images.shape[-1]
    if not clicks.shape[2]:
        clicks = clicks.new_zeros(*clicks.shape[:2], 1, 3)
    centres = clicks[..., :2].clamp(0, size - 1)
    around = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False).flatten(2)
    pixels = (centres[..., 0].long() * size + centres[..., 1].long()).flatten(1)  # b pk
    colours = around.gather(2, pixels[:, None].expand(-1, 3, -1)).unflatten(2, clicks.shape[1:3])
    at_clicks = torch.cat([centres.transpose(2, 3), colours.transpose(1, 2)], dim=2)  # b p 5 k
    grid = torch.arange(size, device=clicks.device, dtype=centres.dtype)
    places = torch.stack(torch.meshgrid(grid, grid, indexing="ij")).expand(len(images), -1, -1, -1)
    at_pixels = torch.cat([places, images], dim=1)[:, None]  # b 1 5 s s
    squares = ((grid - centres[..., None]) / size).square()  # b p k 2 s
    distances = squares[..., 0, :, None] + squares[..., 1, None, :]  # b p k s s
    maps = []
    for sign in (1, -1):
        chosen = (clicks[..., 2] == sign) & (clicks[..., :2].amax(-1) >= 0)
        apart = distances.masked_fill(~chosen[..., None, None], torch.inf)
        far = apart.amin(2, keepdim=True)
        shares = (apart == far).to(images.dtype)
        shares = (shares / shares.sum(2, keepdim=True)).flatten(3)
        # in bfloat16 there are too few numbers for where a click is, and for its colour
        with torch.autocast(images.device.type, enabled=False):
            nearest = (at_clicks @ shares).unflatten(3, (size, size))
        difference = at_pixels - nearest
        offset, shade = difference.split([2, 3], dim=2)
        likeness = torch.exp(-shade.square().sum(2, keepdim=True).sqrt())
        nearness = 4 * torch.exp(-8 * far.sqrt())
        found = torch.cat([offset * (2 / size), nearness, shade, likeness], dim=2)
        maps.append(found * chosen.any(2)[..., None, None, None])
    return torch.cat(maps, dim=2)


class RelativePrompt(nn.Module):
    """Maps of prompts -> what is added to their tokens, and to the finest level of a pyramid."""

    def __init__(self, channels: int, dim: int, patch: int, fine_dim: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(channels, dim, patch, stride=patch)
        self.fine = nn.Sequential(
            nn.Conv2d(channels, fine_dim, 3, stride=2, padding=1),
            nn.GroupNorm(1, fine_dim),
            nn.GELU(),
            nn.Conv2d(fine_dim, fine_dim, 3, padding=1),
        )

    def forward(
        self, maps: Float[Tensor, "n c s s"]
    ) -> tuple[Float[Tensor, "n d g g"], Float[Tensor, "n f i i"]]:
        """Return one vector a patch, and the map at half the square's resolution."""
        return self.coarse(maps), self.fine(maps)


def _inside(indices: Tensor, size: int) -> Tensor:
    return (indices >= 0) & (indices < size)
