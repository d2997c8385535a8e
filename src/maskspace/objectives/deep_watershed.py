"""Deep watershed transform: Bai and Urtasun 2017 (arXiv 1611.08303).

Two maps describe how deep a pixel lies in its instance. One is the direction away from the nearest
edge. The other is the energy, the depth in uneven bins; cut at one level it separates instances
that touch. In the paper a second network reads the directions of the first and is trained after it.
Here both are heads of one network and are trained together; a head of the foreground stands for the
paper's semantic mask.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.foreground import FOREGROUND, foreground_head, foreground_term
from maskspace.objectives.inner_distance import inner_direction, inner_distance
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import dense_slots

#: Pixels of depth at which bins 1 to 15 begin; bin 0 is what is not inside at all.
EDGES = (1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 37, 45, 54)
#: How much each bin costs: the three next to the cut the most.
BIN_WEIGHTS = (3.0, 3.0, 3.0, 2.0) + (1.0,) * 12
#: Cosines are shrunk by this much, as the arc cosine has no slope at 1.
SHRINK = 0.999998
#: A pixel of an instance of n pixels weighs this over the root of n.
AREA_SCALE = 200.0


def deep_watershed(
    *,
    direction_weight: float = 0.02,
    energy_weight: float = 1.0,
    foreground: float = 5.0,
    min_area: int = 16,
) -> Objective:
    """Return the objective; see `watershed_terms`.

    The paper trains direction and energy one after the other, without weights. Trained together,
    squared angles times 200 / sqrt(area) would move the outputs a thousand times as much as the
    foreground does; the default weights bring all three to one order.

    Args:
        direction_weight: weight of the term `direction` (default 0.02).
        energy_weight: weight of the term `energy` (default 1).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 5).
        min_area: instances of fewer pixels cost nothing (default 16; the paper has 100, on images
            of two million pixels).

    Example:
        >>> objective = deep_watershed()
        >>> sorted(objective.heads), objective.decoder.name
        (['direction', 'energy', 'foreground'], 'watershed_cut')
    """
    heads = {
        "direction": DenseMap(channels=2, activation="unit"),
        "energy": DenseMap(channels=len(BIN_WEIGHTS)),
    }
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    return Objective.of_label_maps(
        heads=heads,
        terms=partial(
            watershed_terms,
            direction_weight=direction_weight,
            energy_weight=energy_weight,
            foreground=foreground,
            min_area=min_area,
        ),
        decoder=Choice(name="watershed_cut", options={"energy": 1}),
    )


def watershed_terms(
    outputs: Outputs,
    labels: Int[Tensor, "b h w"],
    *,
    direction_weight: float = 1.0,
    energy_weight: float = 1.0,
    foreground: float = 1.0,
    min_area: int = 16,
) -> Terms:
    """Return the terms `direction`, `energy` and `foreground` (unless 0), weighted.

    w is 200 / sqrt(area of the pixel's instance), m where the target is known. direction =
    sum w m angle^2 / (1 + sum m), the angle in radians between output and truth; energy =
    -sum w m sum_c a_c (t_c log p_c + (1 - t_c) log(1 - p_c)) / (1 + sum w m), a = BIN_WEIGHTS.
    The background is of bin 0, its weight as if it were one instance; the paper's semantic mask
    leaves it out. Means over the images that have such pixels. A nest of masks is seen one level at
    a time: the depth is that in the drawn one.

    Example:
        >>> labels = torch.zeros(1, 8, 8, dtype=torch.long)
        >>> labels[:, 1:7, 1:7] = 1
        >>> direction, _ = inner_direction(inner_distance(labels), labels)
        >>> outputs = {"direction": direction, "energy": torch.zeros(1, len(BIN_WEIGHTS), 8, 8)}
        >>> round(watershed_terms(outputs, labels, foreground=0.0)["direction"].item(), 2)
        0.0
    """
    area = _areas(labels)
    weight = torch.where(area >= min_area, AREA_SCALE * area.clamp(min=1).rsqrt(), 0.0)
    rest = labels == 0
    number = rest.sum((1, 2), keepdim=True).clamp(min=1)
    on_rest = torch.where(rest, AREA_SCALE * number.to(weight).rsqrt(), weight)
    distance = inner_distance(labels)
    direction, is_directed = inner_direction(distance, labels)
    bins = torch.bucketize(distance, distance.new_tensor(EDGES), right=True)
    # of an instance that fills the image no pixel's depth is known
    is_deep = (on_rest > 0) & distance.isfinite()
    angle = direction_cost(outputs["direction"], direction)
    costs = {
        "direction": direction_weight
        * _mean(angle, weight, is_directed & (weight > 0), by_area=False),
        "energy": energy_weight
        * _mean(energy_cost(outputs["energy"], bins), on_rest, is_deep, by_area=True),
    }
    if foreground > 0:
        costs["foreground"] = foreground * foreground_term(outputs, labels)
    return costs


def direction_cost(
    output: Float[Tensor, "b 2 h w"], truth: Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b h w"]:
    """Return the squared angle between two vectors, in radians; the truth is a unit or 0.

    Example:
        >>> right, down = torch.eye(2).view(2, 1, 2, 1, 1)
        >>> round(direction_cost(right, down).item() ** 0.5, 4)  # a right angle, in radians
        1.5708
    """
    unit = F.normalize(at_least_float32(output), dim=1)  # again: half precision is not that exact
    return ((unit * truth.to(unit)).sum(1) * SHRINK).arccos().square()


def energy_cost(
    logits: Float[Tensor, "b e h w"], bins: Int[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Return the weighted cross-entropy of every bin of its softmax against all the others.

    Example:
        >>> bins = torch.zeros(1, 1, 1, dtype=torch.long)
        >>> sure = torch.zeros(1, len(BIN_WEIGHTS), 1, 1)
        >>> sure[:, 0] = 20.0
        >>> round(energy_cost(sure, bins).item(), 4), round(energy_cost(sure, bins + 1).item(), 1)
        (0.0, 107.8)
    """
    wide = at_least_float32(logits)
    log_share = wide.log_softmax(1)
    share = log_share.exp().clamp(max=1 - torch.finfo(wide.dtype).eps)
    weight = wide.new_tensor(BIN_WEIGHTS)
    others = torch.einsum("e,behw->bhw", weight, -torch.log1p(-share))
    own = torch.stack([-log_share, -torch.log1p(-share)])
    own = own.gather(2, bins[None, :, None].expand(2, -1, -1, -1, -1))[:, :, 0]
    return others + weight[bins] * (own[0] - own[1])


def _areas(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Return the number of pixels of each pixel's instance; 0 where there is none."""
    slot, columns = dense_slots(labels.flatten(1))
    is_own = (labels > 0).flatten(1).float()
    counts = is_own.new_zeros(len(labels), max(columns, 1)).scatter_add(1, slot, is_own)
    return (counts.gather(1, slot) * is_own).view(labels.shape)


def _mean(
    cost: Float[Tensor, "b h w"],
    weight: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    by_area: bool,
) -> Float[Tensor, ""]:
    """Return the mean over images with valid pixels, of sums over their number or their weight."""
    weight = torch.where(valid, weight, 0.0).to(cost)
    total = torch.where(valid, cost, 0.0) * weight
    number = weight if by_area else valid
    per_image = total.sum((1, 2)) / (1 + number.sum((1, 2)))
    return per_image.sum() / valid.flatten(1).any(1).sum().clamp(min=1)
