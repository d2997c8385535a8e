"""Plain vision transformer over square images, pre-norm, windowed and global attention.

The backbone of SegNext (Liu et al. 2024, arXiv 2404.00741), itself ViTDet's plain ViT (Li et al.
2022, arXiv 2203.16527) without relative positions. Departures, for small models on a CPU: a
convolutional stem (Xiao et al. 2021, arXiv 2106.14881) in place of the one patch convolution.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Stem = Literal["patch", "convolutional"]


class Attention(nn.Module):
    """Multi-head self-attention with fused query, key and value.

    Example:
        >>> Attention(8, 2)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is no multiple of heads {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        """Return attended tokens; every token sees every other."""
        qkv = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv.unbind(0))  # b heads t c/heads
        return self.proj(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm transformer block with an exact-GELU perceptron.

    Example:
        >>> Block(8, 2)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, heads: int, *, mlp_ratio: float = 4.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads)
        self.fc1 = nn.Linear(dim, int(dim * mlp_ratio))
        self.fc2 = nn.Linear(int(dim * mlp_ratio), dim)

    def forward(
        self, tokens: Float[Tensor, "b t c"], windows: int = 1, grid: int = 0
    ) -> Float[Tensor, "b t c"]:
        """Return transformed tokens; `windows` a side of the `grid` attend each to themselves."""
        normed = self.norm1(tokens)
        if windows > 1:
            attended = merge_windows(self.attn(split_windows(normed, windows, grid)), windows, grid)
        else:
            attended = self.attn(normed)
        tokens = tokens + attended
        return tokens + self.fc2(F.gelu(self.fc1(self.norm2(tokens))))


def recompute(module: nn.Module, tokens: Tensor, *arguments: int | Tensor, enabled: bool) -> Tensor:
    """Return `module(tokens, *arguments)`; if enabled, keep nothing of it but its input.

    The backward pass then computes it again, which gives the same gradients. Only for modules
    without randomness: the generator's state is not kept.

    Example:
        >>> recompute(nn.Linear(2, 3), torch.zeros(1, 2), enabled=False).shape
        torch.Size([1, 3])
    """
    if not (enabled and torch.is_grad_enabled()):
        return module(tokens, *arguments)
    computed = checkpoint(module, tokens, *arguments, use_reentrant=False, preserve_rng_state=False)
    assert isinstance(computed, Tensor)
    return computed


def split_windows(
    tokens: Float[Tensor, "b t c"], windows: int, grid: int
) -> Float[Tensor, "bw u c"]:
    """Return the tokens of each of `windows` squared equal, non-overlapping windows.

    Example:
        >>> tokens = torch.arange(16.0).view(1, 16, 1)  # a grid of 4 x 4
        >>> split_windows(tokens, 2, 4)[0].flatten().tolist()
        [0.0, 1.0, 4.0, 5.0]
    """
    side = grid // windows
    split = tokens.unflatten(1, (windows, side, windows, side)).transpose(2, 3)
    return split.flatten(3, 4).flatten(0, 2)


def merge_windows(
    tokens: Float[Tensor, "bw u c"], windows: int, grid: int
) -> Float[Tensor, "b t c"]:
    """Return windows to one row-major grid: the inverse of `split_windows`.

    Example:
        >>> tokens = torch.arange(16.0).view(1, 16, 1)
        >>> torch.equal(merge_windows(split_windows(tokens, 2, 4), 2, 4), tokens)
        True
    """
    side = grid // windows
    split = tokens.unflatten(1, (side, side)).unflatten(0, (-1, windows, windows))
    return split.transpose(2, 3).flatten(1, 4)


def patch_embedding(channels: int, dim: int, patch: int, stem: Stem) -> nn.Module:
    """Return the module that turns an image into one token per `patch` x `patch` pixels.

    `convolutional` halves the resolution log2(patch) times with 3x3 convolutions, widths doubling
    up to `dim`, GroupNorm with one group and GELU between; it learns in far fewer steps.

    Example:
        >>> patch_embedding(3, 8, 4, "patch")(torch.zeros(1, 3, 8, 12)).shape
        torch.Size([1, 8, 2, 3])
    """
    if stem == "patch":
        return nn.Conv2d(channels, dim, patch, stride=patch)
    halvings = patch.bit_length() - 1
    if 2**halvings != patch:
        raise ValueError(f"a convolutional stem needs a patch that is a power of 2; got {patch}")
    layers: list[nn.Module] = []
    for remaining in reversed(range(halvings)):
        width = max(dim >> remaining, 16)
        halve = nn.Conv2d(channels, width, 3, 2, 1)
        layers.append(nn.Sequential(halve, nn.GroupNorm(1, width), nn.GELU()))
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, dim, 1))


def stem_width(dim: int, patch: int) -> int:
    """Return the number of channels of a convolutional stem at half the image's resolution.

    Example:
        >>> stem_width(64, 8)
        16
    """
    return max(dim >> (patch.bit_length() - 2), 16)


class VisionTransformer(nn.Module):
    """Square image -> feature map of one vector per patch.

    Example:
        >>> options = {"image_size": 32, "patch": 8, "dim": 16, "depth": 1, "heads": 2}
        >>> model = VisionTransformer(**options, global_every=1, stem="patch")
        >>> model(torch.zeros(1, 3, 32, 32))[0].shape
        torch.Size([1, 16, 4, 4])
    """

    def __init__(
        self,
        *,
        image_size: int,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        global_every: int,
        stem: Stem,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if image_size % patch:
            raise ValueError(f"image size {image_size} is no multiple of patch {patch}")
        self.checkpointing = checkpointing
        self.grid = image_size // patch
        self.windows, self.global_every = window_count(self.grid, global_every), global_every
        self.patch_embed = patch_embedding(3, dim, patch, stem)
        self.detail_dim = stem_width(dim, patch) if stem == "convolutional" else 0
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid**2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.apply(_initialise_linear)
        if isinstance(self.patch_embed, nn.Conv2d):  # a linear layer on flattened patches
            nn.init.xavier_uniform_(self.patch_embed.weight.view(dim, -1))

    def forward(
        self, image: Float[Tensor, "b 3 h h"]
    ) -> tuple[Float[Tensor, "b c g g"], Float[Tensor, "b d i i"] | None]:
        """Return the features of a normalised square image of the model's own size.

        Beside them, where the stem is convolutional, its map at half the image's resolution.
        """
        detail = None
        if isinstance(self.patch_embed, nn.Sequential):
            # in bfloat16 there are too few values for where a border runs
            with torch.autocast(image.device.type, enabled=False):
                detail = self.patch_embed[0](image)
                patches = self.patch_embed[1:](detail)
        else:
            patches = self.patch_embed(image)
        tokens = patches.flatten(2).transpose(1, 2) + self.pos_embed
        for index, block in enumerate(self.blocks):
            everywhere = is_global(index, len(self.blocks), self.global_every)
            windows = 1 if everywhere else self.windows
            tokens = recompute(block, tokens, windows, self.grid, enabled=self.checkpointing)
        return tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid)), detail


def resize_positions(positions: Float[Tensor, "1 t c"], grid: int) -> Float[Tensor, "1 u c"]:
    """Return the embeddings of a square grid's positions for one of another side, bicubic.

    Example:
        >>> resize_positions(torch.zeros(1, 16, 8), 6).shape
        torch.Size([1, 36, 8])
    """
    side = math.isqrt(positions.shape[1])
    if side == grid:
        return positions
    square = positions.transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(square, (grid, grid), mode="bicubic").flatten(2).transpose(1, 2)


def window_count(grid: int, global_every: int) -> int:
    """Return the number of attention windows a side: SegNext's nominal 14 tokens, evenly divided.

    Grids under 14 tokens have no windows: every block must then be global.

    Example:
        >>> window_count(64, 3)
        4
    """
    if global_every <= 1:
        return 1
    if grid < 14:
        raise ValueError(f"windowed attention needs a grid of at least 14 tokens; got {grid}")
    windows = grid // 14
    if grid % windows:
        raise ValueError(f"a grid of {grid} tokens does not divide into {windows} windows a side")
    return windows


def is_global(index: int, depth: int, global_every: int) -> bool:
    """Return whether block `index` attends globally: each `global_every`-th and the last do.

    Example:
        >>> [is_global(index, 6, 3) for index in range(6)]
        [False, False, True, False, False, True]
    """
    return global_every <= 1 or (index + 1) % global_every == 0 or index == depth - 1


def _initialise_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
