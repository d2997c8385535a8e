"""The student for photos: an image -> maps at strides 1 to 16, from ImageNet features.

An EfficientNet-Lite encoder and a top-down pyramid (Lin et al. 2017, arXiv 1612.03144): each level
is the coarser one, enlarged, plus a 1x1 convolution of the encoder's map, refined by depthwise 3x3
and 1x1 convolutions. Heads are 1x1 convolutions. Nothing pads with zeros: a constant image has
constant features. The cell i of stride s is centred on the pixel s i, and enlarging keeps it there,
so that a mirrored image of 32 k + 1 columns is seen through the mirrored grid.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.config import Choice, build_section, lookup
from maskspace.heads import Head, Level, heads_of_options, maps_of
from maskspace.models.depthwise import depthwise
from maskspace.models.efficientnet_lite import (
    MEAN,
    MULTIPLES,
    STANDARD_DEVIATION,
    STRIDES,
    ConvNorm,
    EfficientNetLite,
)
from maskspace.models.heads import Heads
from maskspace.types import Category, read_categories

FINEST, COARSEST = STRIDES[0], STRIDES[-1]
#: Without an objective: colours at the finest stride.
COLOURS = {"2": Level(channels=12, stride=2, activation="sigmoid")}


class Refinement(nn.Module):
    """Depthwise 3x3 and 1x1, batch normalisation, ReLU.

    Example:
        >>> Refinement(4).eval()(torch.zeros(1, 4, 3, 5)).shape
        torch.Size([1, 4, 3, 5])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(dim, dim, 3, groups=dim)
        self.mix = ConvNorm(dim, dim)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the refined map, of the same shape."""
        with torch.autocast(x.device.type, enabled=False):
            padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        assert self.spread.bias is not None
        spread = depthwise(padded, self.spread.weight, self.spread.bias, stride=1)
        return F.relu(self.mix(spread), inplace=True)


class FeaturePyramid(nn.Module):
    """RGB in [0, 1] of any size -> {head: map}; `decoder` says what makes regions of the maps.

    Example:
        >>> model = build_feature_pyramid(backbone="efficientnet_lite0", blocks=12, width=8).eval()
        >>> flat = torch.full((1, 3, 40, 50), 0.4)
        >>> with torch.inference_mode():
        ...     features = model(flat)["2"]
        >>> features.shape, bool(features.std((2, 3)).max() < 1e-5)  # a constant image
        (torch.Size([1, 12, 20, 25]), True)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        heads: Mapping[str, Head],
        *,
        backbone: str,
        width: int,
        depth: int,
        decoder: Choice | None,
        categories: tuple[Category, ...] = (),
        blocks: int | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.categories = categories
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STANDARD_DEVIATION).view(3, 1, 1), False)
        self.encoder = EfficientNetLite(backbone, blocks=blocks)
        dims = self.encoder.dims
        self.lateral = nn.ModuleDict({str(s): ConvNorm(dims[s], width) for s in STRIDES})
        self.refine = nn.ModuleDict(
            {str(s): nn.Sequential(*(Refinement(width) for _ in range(depth))) for s in STRIDES}
        )
        self.heads = Heads(heads, dict.fromkeys((1, *STRIDES), width), finest=FINEST)
        # half the time a step of channels first, on one core of a CPU
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def declared(self) -> Mapping[str, Head]:
        """Return the heads."""
        return self.heads.declared

    @property
    def backbone(self) -> EfficientNetLite:
        """The part that takes ImageNet weights."""
        return self.encoder

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        """Return the heads' maps in float32; one of stride s has ceil(h / s) rows.

        The image is padded on all sides, by repeating its edge, to 32 k + 1 rows and columns.
        """
        size_hw = (image.shape[2], image.shape[3])
        (top, bottom), (left, right) = (self.margins(side) for side in size_hw)
        padded = F.pad(
            (image - self.mean) / self.std, (left, right, top, bottom), mode="replicate"
        ).contiguous(memory_format=torch.channels_last)
        maps = self._decode(self.encoder(padded))
        with torch.autocast(image.device.type, enabled=False):
            inside = {
                s: x[..., top // s :, left // s :].to(torch.promote_types(x.dtype, torch.float32))
                for s, x in maps.items()
            }
            return self.heads(inside, size_hw)

    def _decode(self, maps: Mapping[int, Tensor]) -> dict[int, Tensor]:
        decoded: dict[int, Tensor] = {}
        above = None
        for stride in reversed(STRIDES):
            x = self.lateral[str(stride)](maps[stride])
            if above is not None:
                x = x + F.interpolate(above, x.shape[2:], mode="bilinear", align_corners=True)
            decoded[stride] = above = self.refine[str(stride)](x)
        return decoded

    def margins(self, side: int) -> tuple[int, int]:
        """Return how many pixels a side is padded by, before and after.

        Before it is a multiple of all heads' strides, so that their grids begin at the first pixel.

        Example:
            >>> build_feature_pyramid(backbone="efficientnet_lite0", blocks=12, width=8).margins(60)
            (2, 3)
        """
        total = -(side - 1) % COARSEST
        coarsest = max(head.stride for head in maps_of(self.heads.declared).values())
        before = total // 2 // coarsest * coarsest
        return before, total - before


def build_feature_pyramid(
    *,
    backbone: str,
    width: int = 48,
    depth: int = 1,
    blocks: int | None = None,
    heads: Mapping[str, Mapping[str, object]] | None = None,
    decoder: Mapping[str, object] | None = None,
    categories: Sequence[Mapping[str, object]] = (),
) -> FeaturePyramid:
    """Return a student for photos.

    Args:
        backbone: one of MULTIPLES.
        width: channels of the pyramid.
        depth: refinements a level.
        blocks: how many blocks of the backbone are kept, from the first on (default: all).
        heads: as `build_pixel_embedding` takes them.
        decoder: the same.
        categories: the same.

    Example:
        >>> heads = {"boundary": {"kind": "map", "channels": 1, "stride": 1}}
        >>> options = {"backbone": "efficientnet_lite0", "blocks": 12, "width": 8}
        >>> list(build_feature_pyramid(**options, heads=heads).declared)
        ['boundary']
    """
    lookup(MULTIPLES, backbone, kind="backbone")
    return FeaturePyramid(
        COLOURS if heads is None else heads_of_options(heads),
        backbone=backbone,
        width=width,
        depth=depth,
        decoder=None if decoder is None else build_section(Choice, decoder, place="decoder"),
        categories=read_categories(categories),
        blocks=blocks,
    )
