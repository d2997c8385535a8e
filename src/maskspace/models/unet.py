"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv 1505.04597) with the heads of an objective.

Departures: convolutions keep the size and are followed by batch normalisation, as is usual today.
The peer of the student: plain convolutions instead of EfficientViT's backbone.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.config import Choice, build_section
from maskspace.heads import Head, heads_of_options
from maskspace.models.heads import Heads
from maskspace.models.imagenet_colours import MEAN, STANDARD_DEVIATION
from maskspace.models.pixel_embedding import COLOURS
from maskspace.types import Category, read_categories


class UNet(nn.Module):
    """RGB in [0, 1] of any size -> {head: map}; `decoder` says what makes instances of the maps.

    `width` channels at full resolution, twice as many at each of `depth` halvings.

    Example:
        >>> model = build_unet(width=4, depth=2).eval()
        >>> with torch.inference_mode():
        ...     {name: tuple(x.shape[1:]) for name, x in model(torch.zeros(1, 3, 17, 30)).items()}
        {'1': (3, 17, 30), '2': (12, 9, 15), '4': (48, 5, 8)}
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        heads: Mapping[str, Head],
        *,
        width: int,
        depth: int,
        decoder: Choice | None,
        categories: tuple[Category, ...] = (),
    ) -> None:
        super().__init__()
        self.decoder, self.categories = decoder, categories
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STANDARD_DEVIATION).view(3, 1, 1), False)
        dims = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _block(before, dim) for before, dim in zip([3, *dims], dims, strict=False)
        )
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * dim, dim, 2, stride=2) for dim in dims[:-1]
        )
        self.up = nn.ModuleList(_block(2 * dim, dim) for dim in dims[:-1])
        self.heads = Heads(heads, {2**level: dim for level, dim in enumerate(dims)})

    @property
    def declared(self) -> Mapping[str, Head]:
        """Return the heads."""
        return self.heads.declared

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        """Return the heads' maps; the image is padded by its edge to what halves evenly."""
        height, width = image.shape[2:]
        step = 2 ** len(self.up)
        pad = (0, -width % step, 0, -height % step)
        x = F.pad((image - self.mean) / self.std, pad, mode="replicate")
        kept = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        maps = {step: x}
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([self.grow[level](x), kept[level]], dim=1))
            maps[2**level] = x
        return self.heads(maps, (height, width))


def _block(before: int, dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, dim, 3, padding=1, bias=False),
        nn.BatchNorm2d(dim),
        nn.ReLU(),
        nn.Conv2d(dim, dim, 3, padding=1, bias=False),
        nn.BatchNorm2d(dim),
        nn.ReLU(),
    )


def build_unet(
    *,
    width: int = 16,
    depth: int = 4,
    heads: Mapping[str, Mapping[str, object]] | None = None,
    decoder: Mapping[str, object] | None = None,
    categories: Sequence[Mapping[str, object]] = (),
) -> UNet:
    """Return a U-Net; `heads`, `decoder`, `categories` as `build_pixel_embedding` takes them.

    Example:
        >>> heads = {"foreground": {"kind": "map", "channels": 1, "stride": 1}}
        >>> list(build_unet(width=4, depth=2, heads=heads).declared)
        ['foreground']
    """
    if width < 1 or depth < 1:
        raise ValueError(f"a U-Net has width and depth of 1 or more; got {width} and {depth}")
    return UNet(
        COLOURS if heads is None else heads_of_options(heads),
        width=width,
        depth=depth,
        decoder=None if decoder is None else build_section(Choice, decoder, place="decoder"),
        categories=read_categories(categories),
    )
