"""From one map of tokens to a mask: a pyramid of four levels and a head of 1x1 convolutions.

SegNext's neck and head (arXiv 2404.00741): the pyramid is ViTDet's (arXiv 2203.16527) with
GroupNorm of one group, without activations before the 1x1 convolutions.
"""

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.models.vit import recompute


class Pyramid(nn.Module):
    """One feature map -> four, at 4, 2, 1 and 1/2 times its resolution (as in ViTDet).

    Example:
        >>> import torch
        >>> levels = Pyramid(8, (2, 4, 8, 8))(torch.zeros(1, 8, 4, 4))
        >>> [tuple(level.shape[1:]) for level in levels]
        [(2, 16, 16), (4, 8, 8), (8, 4, 4), (8, 2, 2)]
    """

    def __init__(
        self, dim: int, out_dims: tuple[int, int, int, int], *, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        quarter, eighth, same, half = out_dims
        wide = max(2 * quarter, dim // 2)
        self.up4 = nn.Sequential(
            nn.ConvTranspose2d(dim, wide, 2, 2),
            _norm(wide),
            nn.GELU(),
            nn.ConvTranspose2d(wide, wide // 2, 2, 2),
            _norm(wide // 2),
            nn.Conv2d(wide // 2, quarter, 1),
            _norm(quarter),
            nn.GELU(),
        )
        wide = max(eighth, dim // 2)
        self.up2 = nn.Sequential(
            nn.ConvTranspose2d(dim, wide, 2, 2),
            _norm(wide),
            nn.Conv2d(wide, eighth, 1),
            _norm(eighth),
            nn.GELU(),
        )
        self.same = nn.Sequential(nn.Conv2d(dim, same, 1), _norm(same), nn.GELU())
        wide = max(half, 2 * dim)
        self.down2 = nn.Sequential(
            nn.Conv2d(dim, wide, 2, 2),
            _norm(wide),
            nn.Conv2d(wide, half, 1),
            _norm(half),
            nn.GELU(),
        )

    def forward(self, features: Float[Tensor, "b c g g"]) -> list[Tensor]:
        """Return the four levels, finest first."""
        levels = (self.up4, self.up2, self.same, self.down2)
        return [recompute(level, features, enabled=self.checkpointing) for level in levels]


class MaskHead(nn.Module):
    """Four levels -> one logit map at the finest level's resolution.

    Example:
        >>> import torch
        >>> levels = Pyramid(8, (2, 4, 8, 8))(torch.zeros(1, 8, 4, 4))
        >>> MaskHead((2, 4, 8, 8), 8)(levels).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(self, in_dims: tuple[int, ...], dim: int) -> None:
        super().__init__()
        levels = [nn.Conv2d(width, dim, 1) for width in in_dims]
        self.levels = nn.ModuleList(levels)
        self.fuse = nn.Conv2d(dim * len(in_dims), dim, 1)
        self.dropout = nn.Dropout2d(0.1)
        self.out = nn.Conv2d(dim, 1, 1)
        for layer in (*levels, self.fuse):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, levels: list[Tensor]) -> Float[Tensor, "b 1 h w"]:
        """Return logits from the levels, finest first.

        The fusing convolution of the levels brought to one size and concatenated is the sum of its
        slices, and a 1x1 convolution commutes with interpolation: each slice is applied at its own
        level's resolution, a quarter of the work at a quarter of the memory.
        """
        size, dim = levels[0].shape[2:], self.fuse.out_channels
        fused = cast(Tensor, self.fuse.bias)[:, None, None]
        slices = self.fuse.weight.split(dim, dim=1)
        for layer, level, weight in zip(self.levels, levels, slices, strict=True):
            fused = fused + resize(F.conv2d(F.relu(layer(level)), weight), size)
        return self.out(self.dropout(F.relu(fused)))


def resize(maps: Float[Tensor, "b c _ _"], size_hw: tuple[int, ...]) -> Float[Tensor, "b c _ _"]:
    """Return maps at a size, bilinear between pixel centres; the same size is a no-op.

    Example:
        >>> import torch
        >>> resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4)).tolist()
        [[[[0.0, 0.25, 0.75, 1.0]]]]
    """
    if maps.shape[2:] == size_hw:
        return maps
    return F.interpolate(maps, size_hw, mode="bilinear")


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(1, channels)
