"""EfficientNet-Lite without its classifier: an image -> maps at strides 2, 4, 8, 16 and 32.

EfficientNet (Tan and Le 2019, arXiv 1905.11946) without squeeze-and-excitation and with ReLU6, as
TensorFlow's `tpu/efficientnet/lite` has it. Two things differ from the published code, and neither
changes a weight. Padding repeats the edge of each map instead of zeros, so that a constant image
has constant features. It is the same on both sides, so that the cell i of stride s is centred on
the pixel s i: on sides of 32 k + 1 pixels, TensorFlow's own rule gives the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.models.depthwise import depthwise

#: Normalisation of the input that the published weights were trained with.
MEAN, STANDARD_DEVIATION = (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)
STRIDES: tuple[int, ...] = (2, 4, 8, 16, 32)
PaddingMode = Literal["replicate", "constant"]


@dataclass(frozen=True)
class Stage:
    """Inverted residuals in a row; the first has the `stride`.

    Example:
        >>> [stage.width for stage in STAGES]
        [16, 24, 40, 80, 112, 192, 320]
    """

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


#: EfficientNet-B0, of which the others are multiples.
STAGES: tuple[Stage, ...] = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM = 32
#: The last stage that halves the map.
LAST_HALVING = max(at for at, stage in enumerate(STAGES) if stage.stride == 2)
#: Multiples of width and of depth.
MULTIPLES: dict[str, tuple[float, float]] = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


class ConvNorm(nn.Module):
    """A convolution and its batch normalisation, one operation where statistics are fixed.

    A normalisation by running statistics is a product and a sum a channel. Both are folded into the
    convolution's weights whenever the normalisation is in evaluation mode: a pass over the map less
    in each direction, and gradients still reach all parameters.

    Example:
        >>> layer = ConvNorm(3, 8, kernel=3, stride=2).eval()
        >>> layer(torch.zeros(1, 3, 5, 7)).shape
        torch.Size([1, 8, 3, 4])
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding_mode: PaddingMode = "replicate",
        eps: float = 1e-3,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_dim, dim, kernel, stride=stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(dim, eps=eps, momentum=0.01)
        self.padding_mode = padding_mode

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d r s"]:
        """Return the normalised map, of ceil(h / stride) rows."""
        side = self.conv.kernel_size[0] // 2
        if side:
            # autocast would pad in float32
            with torch.autocast(x.device.type, enabled=False):
                x = F.pad(x, (side,) * 4, mode=self.padding_mode)
        if self.norm.training:
            return self.norm(self._convolved(x))
        variance, mean = cast(Tensor, self.norm.running_var), cast(Tensor, self.norm.running_mean)
        scale = self.norm.weight * (variance + self.norm.eps).rsqrt()
        weight = self.conv.weight * scale[:, None, None, None]
        bias = self.norm.bias - mean * scale
        if self.conv.groups > 1:
            return depthwise(x, weight, bias, stride=self.conv.stride[0])
        return F.conv2d(x, weight, bias, self.conv.stride)

    def _convolved(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d r s"]:
        """Return the map before its normalisation."""
        if self.conv.groups == 1:
            return self.conv(x)
        none = self.conv.weight.new_zeros(self.conv.out_channels)
        return depthwise(x, self.conv.weight, none, stride=self.conv.stride[0])


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1 (Sandler et al. 2018, arXiv 1801.04381).

    Example:
        >>> block = InvertedResidual(8, Stage(1, 3, 1, 6, 8), stride=1, mode="replicate").eval()
        >>> block.residual, block(torch.zeros(1, 8, 4, 4)).shape[1]
        (True, 8)
    """

    def __init__(self, in_dim: int, stage: Stage, *, stride: int, mode: PaddingMode) -> None:
        super().__init__()
        hidden = in_dim * stage.expand
        self.expand = None if stage.expand == 1 else ConvNorm(in_dim, hidden)
        self.depthwise = ConvNorm(
            hidden, hidden, kernel=stage.kernel, stride=stride, groups=hidden, padding_mode=mode
        )
        self.project = ConvNorm(hidden, stage.width)
        self.residual = stride == 1 and in_dim == stage.width

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d r s"]:
        """Return the transformed map, added to the input where shapes agree."""
        hidden = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        out = self.project(F.relu6(self.depthwise(hidden), inplace=True))
        return x + out if self.residual else out


class EfficientNetLite(nn.Module):
    """RGB, normalised -> {stride: map}; `dims` are the channels at each stride.

    blocks: how many inverted residuals are kept, from the first on (default: all). Two thirds of
        the weights are in the last quarter of them.

    Example:
        >>> encoder = EfficientNetLite("efficientnet_lite0", blocks=12).eval()
        >>> with torch.inference_mode():
        ...     maps = encoder(torch.zeros(1, 3, 33, 65))
        >>> {stride: tuple(x.shape[1:]) for stride, x in maps.items()}
        {2: (16, 17, 33), 4: (24, 9, 17), 8: (40, 5, 9), 16: (112, 3, 5), 32: (192, 2, 3)}
    """

    def __init__(
        self, name: str, *, blocks: int | None = None, padding_mode: PaddingMode = "replicate"
    ) -> None:
        super().__init__()
        self.name = name
        self.stem = ConvNorm(3, STEM, kernel=3, stride=2, padding_mode=padding_mode)
        stages = _first_blocks(list(_scaled(*MULTIPLES[name])), blocks)
        self.stages = nn.ModuleList()
        width = STEM
        for stage in stages:
            repeated = nn.Sequential()
            for index in range(stage.repeats):
                stride = 1 if index else stage.stride
                repeated.append(InvertedResidual(width, stage, stride=stride, mode=padding_mode))
                width = stage.width
            self.stages.append(repeated)
        # a map is kept where the next stage halves it
        self._ends = [
            at for at in range(len(stages)) if at + 1 == len(stages) or stages[at + 1].stride == 2
        ]
        self.dims = {
            stride: stages[at].width for stride, at in zip(STRIDES, self._ends, strict=True)
        }

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> dict[int, Tensor]:
        """Return the maps; one of stride s has ceil(h / s) rows where 32 divides h - 1."""
        maps: list[Tensor] = []
        x = F.relu6(self.stem(x), inplace=True)
        for at, stage in enumerate(self.stages):
            x = stage(x)
            if at in self._ends:
                maps.append(x)
        return dict(zip(STRIDES, maps, strict=True))


def _scaled(width: float, depth: float) -> Iterator[Stage]:
    """Yield the stages of a multiple; the first and the last keep their number of blocks."""
    for at, stage in enumerate(STAGES):
        fixed = at in (0, len(STAGES) - 1)
        yield Stage(
            repeats=stage.repeats if fixed else -int(-depth * stage.repeats // 1),
            kernel=stage.kernel,
            stride=stage.stride,
            expand=stage.expand,
            width=_rounded(stage.width * width),
        )


def _first_blocks(stages: list[Stage], blocks: int | None) -> list[Stage]:
    """Return the stages of the first blocks; ValueError where a stride has none left."""
    total = sum(stage.repeats for stage in stages)
    left = total if blocks is None else blocks
    kept = []
    for stage in stages:
        if left > 0:
            kept.append(replace(stage, repeats=min(stage.repeats, left)))
        left -= stage.repeats
    if sum(stage.stride == 2 for stage in kept) + 1 < len(STRIDES) or left > 0:
        least = total - sum(stage.repeats for stage in stages[LAST_HALVING:]) + 1
        raise ValueError(f"blocks are {least} to {total}; got {blocks}")
    return kept


def _rounded(width: float) -> int:
    """Return the multiple of 8 that is nearest, and not more than a tenth below."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


def from_published(held: dict[str, Tensor], encoder: EfficientNetLite) -> dict[str, Tensor]:
    """Return the published weights under this encoder's names, without the classifier's.

    The published blocks are numbered through; names are those of `efficientnet-lite-pytorch`.
    """
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    pairs = {"stem": ("_conv_stem", "_bn0")}
    number = 0
    for at, stage in enumerate(encoder.stages):
        for index, block in enumerate(cast(nn.Sequential, stage)):
            expands = cast(InvertedResidual, block).expand is not None
            here, there = f"stages.{at}.{index}", f"_blocks.{number}"
            if expands:
                pairs[f"{here}.expand"] = (f"{there}._expand_conv", f"{there}._bn0")
            pairs[f"{here}.depthwise"] = (f"{there}._depthwise_conv", f"{there}._bn1")
            pairs[f"{here}.project"] = (f"{there}._project_conv", f"{there}._bn2")
            number += 1
    renamed = {}
    for name, (conv, bn) in pairs.items():
        renamed[f"{name}.conv.weight"] = held[f"{conv}.weight"]
        for key in norm:
            default = torch.tensor(0) if key == "num_batches_tracked" else None
            value = held.get(f"{bn}.{key}", default)
            if value is None:
                raise ValueError(f"published weights without {bn}.{key}")
            renamed[f"{name}.norm.{key}"] = value
    return renamed
