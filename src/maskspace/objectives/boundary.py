"""Boundary: at every pixel the share of annotators who see a border there.

After holistically nested edge detection (Xie and Tu 2015, arXiv 1504.06375): logits at several
strides, each supervised at full resolution. Departures: the truth is soft, and one weight of
borders serves all images, so that a value means the same in each.

Annotators misplace borders by a pixel or two. So a border's height is the share of annotators with
a border within `tolerance` pixels, and its place is the crest of their smoothed mean: the target is

    t = share · d / max d,

d the mean over annotators of their borders (both pixels of a pair that differs), smoothed by
[1 2 1] / 4 twice, and max d its maximum within the tolerance. A crest is as high as people agree
that it is there, and as thin as they agree where.

The loss is cross-entropy in which a border weighs `border_weight` times: with z the logit,
-w t log p - (1 - t) log(1 - p), p = sigmoid(z + log w). Its minimum is at sigmoid(z) = t.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.targets import Targets

#: Strides of the logits that only training looks at.
SIDES: tuple[int, ...] = (4, 8, 16)


def boundary(
    *, tolerance: int = 2, border_weight: float = 4.0, side_weight: float = 0.5
) -> Objective:
    """Return the objective that learns borders alone.

    Args:
        tolerance: distance in pixels within which annotators may place one border, >= 0
            (default 2).
        border_weight: weight of a pixel on a border relative to one off it, > 0 (default 4).
        side_weight: weight of the loss of each side output; that of the boundary is 1
            (default 0.5).

    Example:
        >>> objective = boundary()
        >>> sorted(objective.heads), objective.decoder.name
        (['boundary', 'boundary/16', 'boundary/4', 'boundary/8'], 'border_tree')
    """
    options = {
        "tolerance": tolerance,
        "border_weight": border_weight,
        "side_weight": side_weight,
    }

    def terms(outputs: Outputs, targets: Targets) -> Terms:
        return boundary_terms(outputs, targets.nested_label_maps(), **options)

    return Objective(
        heads=boundary_heads(), terms=terms, decoder=Choice(name="border_tree", options={})
    )


def boundary_heads(sides: tuple[int, ...] = SIDES) -> dict[str, DenseMap]:
    """Return the heads: `boundary`, a logit a pixel, and `boundary/s` at each side's stride.

    Example:
        >>> {name: head.stride for name, head in boundary_heads().items()}
        {'boundary': 1, 'boundary/4': 4, 'boundary/8': 8, 'boundary/16': 16}
    """
    heads = {"boundary": DenseMap(channels=1, stride=1)}
    return heads | {f"boundary/{stride}": DenseMap(channels=1, stride=stride) for stride in sides}


def boundary_terms(
    outputs: Mapping[str, Tensor],
    layers: Int[Tensor, "b a h w"],
    *,
    tolerance: int,
    border_weight: float,
    side_weight: float,
) -> dict[str, Tensor]:
    """Return the weighted cross-entropy of the boundary, and of each side output.

    A layer is an annotator's label map, with labels of 0 and more. A pixel below 0 is unknown to
    its annotator; a pixel that no annotator knows does not count.

    Example:
        >>> layers = torch.tensor([[[[1, 1, 2, 2]]]])  # one annotator
        >>> options = {"tolerance": 0, "border_weight": 1.0, "side_weight": 0.5}
        >>> logits = torch.tensor([[[[-9.0, 9.0, 9.0, -9.0]]]])
        >>> round(boundary_terms({"boundary": logits}, layers, **options)["boundary"].item(), 3)
        0.0
    """
    target, known = border_target(layers, tolerance=tolerance)
    size_hw = (layers.shape[2], layers.shape[3])
    terms = {}
    for name, logits in outputs.items():
        if name.partition("/")[0] != "boundary":
            continue
        stride = int(name.partition("/")[2] or 1)
        z = enlarged(at_least_float32(logits), size_hw, stride=stride)[:, 0]
        loss = _cross_entropy(z, target, known, border_weight=border_weight)
        terms[name] = loss if stride == 1 else side_weight * loss
    return terms


def border_target(
    layers: Int[Tensor, "b a h w"], *, tolerance: int
) -> tuple[Float[Tensor, "b h w"], Bool[Tensor, "b h w"]]:
    """Return the target t in [0, 1], and which pixels any annotator knows.

    Example:
        >>> layers = torch.tensor([[[[1, 1, 2, 2]], [[1, 1, 1, 1]]]])  # one of two sees it
        >>> target, known = border_target(layers, tolerance=1)
        >>> target.max().item()
        0.5
    """
    known = layers >= 0
    number = known.sum(1).clamp(min=1)
    borders = label_borders(layers)
    share = (_greatest(borders, reach=tolerance) & known).sum(1) / number
    density = _smooth(borders.sum(1) / number)
    crest = _greatest(density, reach=tolerance)
    return share * density / crest.clamp(min=1e-6), known.any(1)


def label_borders(layers: Int[Tensor, "b a h w"]) -> Bool[Tensor, "b a h w"]:
    """Return the pixels with a 4-neighbour of another label, of those that are known.

    Example:
        >>> label_borders(torch.tensor([[[[1, 1, 2, 2, -1]]]])).int().tolist()
        [[[[0, 1, 1, 0, 0]]]]
    """
    borders = torch.zeros_like(layers, dtype=torch.bool)
    for axis in (2, 3):
        length = layers.shape[axis] - 1
        before, after = layers.narrow(axis, 0, length), layers.narrow(axis, 1, length)
        differ = (before != after) & (before >= 0) & (after >= 0)
        borders.narrow(axis, 0, length).logical_or_(differ)
        borders.narrow(axis, 1, length).logical_or_(differ)
    return borders


def enlarged(
    maps: Float[Tensor, "b c _ _"], size_hw: tuple[int, int], *, stride: int
) -> Float[Tensor, "b c h w"]:
    """Return maps of a stride at the pixels, cell i being centred on the pixel `stride` i.

    Pixels behind the last cell have its value.

    Example:
        >>> enlarged(torch.tensor([[[[0.0, 4.0]]]]), (1, 6), stride=4).tolist()
        [[[[0.0, 1.0, 2.0, 3.0, 4.0, 4.0]]]]
    """
    if stride == 1:
        return maps
    whole = [(length - 1) * stride + 1 for length in maps.shape[2:]]
    maps = F.interpolate(maps, whole, mode="bilinear", align_corners=True)
    behind = [max(0, side - length) for side, length in zip(size_hw, whole, strict=True)]
    maps = F.pad(maps, (0, behind[1], 0, behind[0]), mode="replicate")
    return maps[..., : size_hw[0], : size_hw[1]]


def _greatest(x: Shaped[Tensor, "*n h w"], *, reach: int) -> Shaped[Tensor, "*n h w"]:
    """Return the greatest value at most `reach` rows and columns away."""
    for axis in (-2, -1):
        spread, length = x.clone(), x.shape[axis]
        for step in range(1, min(reach, length - 1) + 1):
            for to, of in ((0, step), (step, 0)):
                place = spread.narrow(axis, to, length - step)
                torch.maximum(place, x.narrow(axis, of, length - step), out=place)
        x = spread
    return x


def _cross_entropy(
    z: Float[Tensor, "b h w"],
    target: Float[Tensor, "b h w"],
    known: Bool[Tensor, "b h w"],
    *,
    border_weight: float,
) -> Float[Tensor, ""]:
    shifted = z + math.log(border_weight)
    off = F.softplus(shifted)  # -log(1 - p); -log p is this less the logit
    loss = (1 - target) * off + border_weight * target * (off - shifted)
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp(min=1)


def _smooth(x: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Return a map smoothed by [1 2 1] / 4 twice along each axis, its edge being repeated."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=x.device) / 16
    x = F.pad(x[:, None], (2, 2, 2, 2), mode="replicate")
    x = F.conv2d(x, kernel.view(1, 1, 1, 5))
    return F.conv2d(x, kernel.view(1, 1, 5, 1))[:, 0]
