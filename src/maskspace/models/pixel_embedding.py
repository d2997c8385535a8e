"""The student: an image -> one map a head, by default colours, as many values at each stride.

EfficientViT (Cai et al. 2023, arXiv 2205.14756; kornia's backbone) with a light top-down decoder of
MBConv blocks. Colours at level s are 3 * 4^s channels at stride 2^s. From stride 4 on, each finer
level is the pixel shuffle (Shi et al. 2016, arXiv 1609.05158) of the coarser decoder map beside the
input's own detail; channels beyond a level's colours stay inside as registers. An objective that
needs other outputs declares their heads.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from kornia.models.efficient_vit import backbone as efficientvit
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.config import Choice, build_section
from maskspace.heads import Head, Level, Queries, heads_of_options, level_name, maps_of
from maskspace.models.heads import Heads
from maskspace.models.imagenet_colours import MEAN, STANDARD_DEVIATION
from maskspace.types import Category, read_categories

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    name: getattr(efficientvit, f"efficientvit_backbone_{name}")
    for name in ("b0", "b1", "b2", "b3", "l0", "l1", "l2")
}
STRIDES: tuple[int, ...] = (1, 2, 4)
COLOURS = {level_name(s): Level(channels=3 * s**2, stride=s, activation="sigmoid") for s in STRIDES}
DEEPEST_STRIDE = 32
#: Channels at full resolution that the decoder has for the widest head; `registers` add to them.
WIDEST = 8


class MBConv(nn.Module):
    """Inverted residual: expand 1x1, depthwise 3x3, project 1x1 (Sandler et al. 2018).

    Example:
        >>> MBConv(4, 6)(torch.zeros(1, 4, 5, 7)).shape
        torch.Size([1, 6, 5, 7])
    """

    def __init__(self, in_dim: int, out_dim: int, *, expand: int = 2) -> None:
        super().__init__()
        hidden = in_dim * expand
        self.layers = nn.Sequential(
            nn.Conv2d(in_dim, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Hardswish(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Hardswish(),
            nn.Conv2d(hidden, out_dim, 1, bias=False),
            nn.BatchNorm2d(out_dim),
        )
        self.residual = in_dim == out_dim

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Return the transformed map, added to the input where widths agree."""
        return x + self.layers(x) if self.residual else self.layers(x)


class PixelEmbedding(nn.Module):
    """RGB in [0, 1] of any size -> {head: map}; `decoder` says what makes instances of the maps.

    Example:
        >>> model = build_pixel_embedding(backbone="b0", width=8, registers=1).eval()
        >>> with torch.inference_mode():
        ...     outputs = model(torch.zeros(1, 3, 32, 48))
        >>> {name: tuple(x.shape[1:]) for name, x in outputs.items()}
        {'1': (3, 32, 48), '2': (12, 16, 24), '4': (48, 8, 12)}
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        heads: Mapping[str, Head],
        *,
        backbone: str,
        width: int,
        registers: int,
        coordinates: bool,
        decoder: Choice | None,
        categories: tuple[Category, ...] = (),
    ) -> None:
        super().__init__()
        self.decoder, self.coordinates, self.categories = decoder, coordinates, categories
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STANDARD_DEVIATION).view(3, 1, 1), False)
        self.backbone = BACKBONES[backbone]()
        self.backbone.eval()
        with torch.no_grad():
            found = self.backbone(torch.zeros(1, 3, 64, 64))
        self.backbone.train()
        dims = [found[f"stage{stage}"].shape[1] for stage in range(5)]
        self.lateral = nn.ModuleList(nn.Conv2d(dim, width, 1) for dim in dims[1:])
        self.merge = nn.ModuleList(MBConv(width, width) for _ in dims[1:-1])
        needed = max(map(_width, heads.values()))
        full = registers + min(needed, WIDEST)
        half, quarter = 4 * full, 16 * full
        places = 2 if coordinates else 0
        self.stride4 = nn.Sequential(MBConv(width + places, quarter), MBConv(quarter, quarter))
        # every layer has a part in some head, as training by several workers wants it
        finest = min(head.stride for head in maps_of(heads).values())
        self.stride2 = self.stride1 = None
        if finest < 4:
            self.stride2 = nn.Sequential(MBConv(half + dims[0], half), MBConv(half, half))
        if finest < 2:
            self.stride1 = nn.Sequential(
                MBConv(full + 3, 2 * full), nn.Conv2d(2 * full, full, 3, padding=1)
            )
        self.heads = Heads(heads, dict(zip(STRIDES, (full, half, quarter), strict=True)))
        # a quarter less time a step than channels first, on one core of a CPU
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def declared(self) -> Mapping[str, Head]:
        """Return the heads."""
        return self.heads.declared

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        """Return the heads' maps; one of stride s has ceil(h / s) rows and ceil(w / s) columns.

        The image is padded at the right and the bottom, by repeating its edge, to a multiple of 32.
        """
        height, width = image.shape[2:]
        pad = (-width % DEEPEST_STRIDE, -height % DEEPEST_STRIDE)
        padded = F.pad((image - self.mean) / self.std, (0, pad[0], 0, pad[1]), mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        maps = self.backbone(padded)
        top = self.lateral[-1](maps["stage4"])
        for index in (2, 1, 0):
            skip = self.lateral[index](maps[f"stage{index + 1}"])
            top = self.merge[index](F.interpolate(top, scale_factor=2, mode="bilinear") + skip)
        if self.coordinates:
            top = torch.cat([top, _coordinates(top, (height, width))], dim=1)
        decoded = {4: self.stride4(top)}
        if self.stride2 is not None:
            shuffled = F.pixel_shuffle(decoded[4], 2)
            decoded[2] = self.stride2(torch.cat([shuffled, maps["stage0"]], dim=1))
        if self.stride1 is not None:
            decoded[1] = self.stride1(torch.cat([F.pixel_shuffle(decoded[2], 2), padded], dim=1))
        return self.heads(decoded, (height, width))


def _width(head: Head) -> int:
    """Return the channels at full resolution that a head asks for; queries as if of one cell."""
    if isinstance(head, Queries):
        return math.ceil(head.number * head.channels / STRIDES[-1] ** 2)
    return math.ceil(head.channels / head.stride**2)


def _coordinates(
    cells: Float[Tensor, "b c h w"], size_hw: tuple[int, int]
) -> Float[Tensor, "b 2 h w"]:
    """Return x and y of cells at stride 4, from -1 to 1 over the image."""
    rows, columns = (
        (torch.arange(cells.shape[axis], device=cells.device, dtype=cells.dtype) + 0.5)
        * (8 / size_hw[axis - 2])
        - 1
        for axis in (2, 3)
    )
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))  # x y
    return place.expand(len(cells), -1, -1, -1)


def build_pixel_embedding(
    *,
    backbone: str = "b0",
    width: int = 48,
    registers: int = 5,
    coordinates: bool = False,
    heads: Mapping[str, Mapping[str, object]] | None = None,
    decoder: Mapping[str, object] | None = None,
    categories: Sequence[Mapping[str, object]] = (),
) -> PixelEmbedding:
    """Return a student; `registers` counts channels at full resolution beside the heads'.

    With `coordinates` the decoder is shown where in the image it is (CoordConv, Liu et al. 2018,
    arXiv 1807.03247), for objectives that regress positions; else it has to learn that from its
    padding, and its features follow what moves.
    `heads` are those of an objective, as plain dictionaries (None: colours at each of STRIDES);
    `decoder` its decoder's name and options (None: regions come from the merge tree of colours);
    `categories` the table of the classes that it tells apart, a dictionary each (default: none).

    Example:
        >>> heads = {"1": {"kind": "level", "channels": 2, "stride": 1}}
        >>> list(build_pixel_embedding(backbone="b0", width=8, registers=1, heads=heads).declared)
        ['1']
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone {backbone!r} is unknown; choose one of {', '.join(BACKBONES)}")
    declared = COLOURS if heads is None else heads_of_options(heads)
    return PixelEmbedding(
        declared,
        backbone=backbone,
        width=width,
        registers=registers,
        coordinates=coordinates,
        decoder=None if decoder is None else build_section(Choice, decoder, place="decoder"),
        categories=read_categories(categories),
    )
