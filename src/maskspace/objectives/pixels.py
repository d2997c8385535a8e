"""What the objectives share: instances of a batch, their means, distances to the means.

Distances are Euclidean. A label is n > 0 on an instance, 0 on the background, UNLABELLED
elsewhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.eager import eager
from maskspace.kernels.pairs import NOBODY, NOWHERE, costs_of_others
from maskspace.kernels.takes import kernels_take
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.tiles import sum_of_steps, sum_over_pairs, tile_size

#: An elementwise function of squared distances, and its derivative. It may overwrite what it gets.
PairFunction = Callable[[Float[Tensor, "b t n"]], tuple[Tensor, Tensor | float]]

#: Added under square roots: the gradient of a norm at 0 is 0 instead of NaN.
EPSILON = 1e-12
#: The squared distance to an instance that is none.
_FAR = 1e9
#: Labels times images of which a table is always small.
_TABLE = 2**20


@dataclass(frozen=True)
class Instances:
    """The labelled pixels of a batch of images, grouped by instance.

    pixels: the feature of every pixel, in float32.
    slot: the column of `means` of a pixel's own instance; 0, without meaning, where it has none.
    labelled: whether a pixel is on an instance.
    means: the mean feature of each instance.
    counts: pixels of each instance; 0 in columns that an image does not use.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> groups.means[0, :, 0].tolist(), groups.counts[0].tolist()
        ([1.0, 6.0], [2.0, 2.0])
    """

    pixels: Float[Tensor, "b p c"]
    slot: Int[Tensor, "b p"]
    labelled: Bool[Tensor, "b p"]
    means: Float[Tensor, "b n c"]
    counts: Float[Tensor, "b n"]

    @property
    def present(self) -> Bool[Tensor, "b n"]:
        """Return which columns hold an instance."""
        return self.counts > 0


def instances(embedding: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"]) -> Instances:
    """Return the instances of a batch: one for each label above 0 in each image.

    Sums are index additions in float32 (for double precision: in double), also under autocast,
    without a loop over instances.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> groups.slot.tolist(), groups.means[0, :, 0].tolist()
        ([[0, 0, 1, 1]], [1.0, 6.0])
    """
    pixels = at_least_float32(embedding).flatten(2)  # b c p
    slot, columns = dense_slots(labels.flatten(1))
    labelled = labels.flatten(1) > 0
    # unlabelled pixels go to a spare last column, which is sliced off
    index = torch.where(labelled, slot, columns)
    counts = pixels.new_zeros(len(pixels), columns + 1)
    counts = counts.scatter_add(1, index, torch.ones_like(index, dtype=pixels.dtype))[:, :columns]
    sums = pixels.new_zeros(*pixels.shape[:2], columns + 1)
    sums = sums.scatter_add(2, index[:, None].expand_as(pixels), pixels)[..., :columns]
    return Instances(
        pixels=pixels.transpose(1, 2),
        slot=slot,
        labelled=labelled,
        means=sums.transpose(1, 2) / counts.clamp(min=1)[..., None],
        counts=counts,
    )


def dense_slots(labels: Int[Tensor, "b p"]) -> tuple[Int[Tensor, "b p"], int]:
    """Return labels renumbered 0, 1, ... within each image, ascending, and the largest number.

    Pixels with label 0 or below get slot 0; the caller must mask them.

    Example:
        >>> dense_slots(torch.tensor([[7, 7, 0, 30], [5, 5, 5, 5]]))
        (tensor([[0, 0, 0, 1],
                [0, 0, 0, 0]]), 2)
    """
    if labels.numel() == 0:
        return torch.zeros_like(labels), 0
    labels = labels.clamp(min=0)
    span = int(labels.max()) + 1
    if len(labels) * span > max(_TABLE, labels.numel()):
        # names too large for a table of them: renumbered over the whole batch first
        labels = torch.unique(labels, return_inverse=True)[1] + (labels.min() > 0).long()
        span = int(labels.max()) + 1
    names = torch.zeros(len(labels), span, dtype=torch.bool, device=labels.device)
    names = names.scatter(1, labels, True)
    names[:, 0] = False
    rank = (names.cumsum(1) - 1).clamp(min=0)
    return rank.gather(1, labels), int(names.sum(1).max())


def own_distance(groups: Instances) -> Float[Tensor, "b p"]:
    """Return the distance of every pixel to the mean of its own instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> own_distance(groups).round(decimals=3).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    return (own_squared_distance(groups) + EPSILON).sqrt()


def own_squared_distance(groups: Instances) -> Float[Tensor, "b p"]:
    """Return the squared distance of every pixel to the mean of its own instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> own_squared_distance(groups).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    pixels = groups.pixels.transpose(1, 2)  # b c p, as it lies in memory
    own = groups.means.transpose(1, 2).gather(2, groups.slot[:, None].expand_as(pixels))
    return (pixels - own).square().sum(1)


def distance_factors(groups: Instances) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b d n"]]:
    """Return two matrices whose product holds the squared distances of pixels to means.

    |x - m|^2 = |x|^2 - 2 x.m + |m|^2 is a product of vectors with two channels more than the
    features. So there is no array of pixels by instances by channels, and the large result is
    written once.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> left, right = distance_factors(groups)
        >>> (left @ right).tolist()  # four pixels, two means at 1 and 6
        [[[1.0, 36.0], [1.0, 16.0], [25.0, 0.0], [25.0, 0.0]]]
    """
    pixels, means = (x.transpose(1, 2) for x in (groups.pixels, groups.means))  # as in memory
    pixel_norms, mean_norms = (x.square().sum(1, keepdim=True) for x in (pixels, means))
    left = torch.cat([pixels, pixel_norms, torch.ones_like(pixel_norms)], dim=1)
    right = torch.cat([-2 * means, torch.ones_like(mean_norms), mean_norms], dim=1)
    return left.transpose(1, 2), right


def mean_over_instances(values: Float[Tensor, "b p"], groups: Instances) -> Float[Tensor, "b n"]:
    """Return the mean of a value over the pixels of each instance; 0 in unused columns.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> mean_over_instances(torch.tensor([[1.0, 3.0, 5.0, 5.0]]), groups).tolist()
        [[2.0, 5.0]]
    """
    own = torch.where(groups.labelled, values, 0.0)
    sums = torch.zeros_like(groups.counts).scatter_add(1, groups.slot, own)
    return sums / groups.counts.clamp(min=1)


def mean_over_present(values: Float[Tensor, "b n"], groups: Instances) -> Float[Tensor, ""]:
    """Return the mean over images of the mean over their instances.

    Images without an instance take no part; the result is 0 if no image has one.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> mean_over_present(torch.tensor([[2.0, 5.0]]), groups).item()
        3.5
    """
    return (values * shares(groups)).sum()


def shares(groups: Instances) -> Float[Tensor, "b n"]:
    """Return the weight of every instance in `mean_over_present`; 0 in unused columns.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> shares(groups).tolist()
        [[0.5, 0.5]]
    """
    number = groups.present.sum(1, keepdim=True)
    images = (number > 0).sum().clamp(min=1)
    return groups.present.to(groups.counts.dtype) / (number.clamp(min=1) * images)


def pixel_shares(groups: Instances) -> Float[Tensor, "b p"]:
    """Return the weight of every pixel in `mean_over_present` of `mean_over_instances`.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> pixel_shares(groups).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    each = shares(groups) / groups.counts.clamp(min=1)
    return torch.where(groups.labelled, each.gather(1, groups.slot), 0.0)


@dataclass(frozen=True)
class LineCost:
    """A cost of the distance: start + slope d below `reach`, and 0 from there.

    It is a `PairFunction` of squared distances.

    Example:
        >>> values, slopes = LineCost(5.0, -1.0, 5.0)(torch.tensor([[[9.0, 36.0]]]))
        >>> values.tolist()  # 5 - d, and 0 from a distance of 5
        [[[2.0, -0.0]]]
    """

    start: float
    slope: float
    reach: float = math.inf

    def __call__(self, squared: Float[Tensor, "b t n"]) -> tuple[Tensor, Tensor]:
        """Return the costs and their derivatives."""
        distance = squared.sqrt_()
        values, slopes = self.start + self.slope * distance, 0.5 * self.slope / distance
        if self.reach < math.inf:
            inside = distance < self.reach
            values, slopes = values.mul_(inside), slopes.mul_(inside)
        return values, slopes


def cost_of_others(
    groups: Instances,
    cost: PairFunction,
    weight: Float[Tensor, "b n"],
    counted: Bool[Tensor, "b p"] | None = None,
) -> Float[Tensor, ""]:
    """Return sum_n weight_n sum_{p not in n} cost(|x_p - mu_n|^2).

    An instance's own pixels are left out of the sum. They are not subtracted afterwards: for an
    instance that covers nearly the whole image the rounding of two large numbers would remain. No
    gradient reaches `weight`.

    Args:
        groups: the instances.
        cost: the cost of squared distances.
        weight: the weight of each instance.
        counted: the pixels p that count (default None: all).

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> total = cost_of_others(groups, LineCost(0.0, 1.0), torch.ones(1, 2))
        >>> round(total.item(), 3)  # 5 + 5 + 6 + 4
        20.0
    """
    if isinstance(cost, LineCost) and kernels_take(groups.pixels):
        return _by_loops(groups, cost, weight, counted)
    left, right = distance_factors(groups)
    # pixels of no instance leave out a spare last column, which weighs nothing
    own = torch.where(groups.labelled, groups.slot, right.shape[2])[..., None]
    right, weight = F.pad(right, (0, 1)), F.pad(weight, (0, 1)).detach()

    def part(squared: Tensor, own: Tensor, *counted: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = cost(F.threshold(squared, EPSILON, EPSILON))  # b t n
        slopes = torch.ops.aten.threshold_backward(slopes, squared, EPSILON)
        for each in (values, slopes):  # a scatter is many times as fast as a mask
            each.scatter_(2, own, 0.0)
            for some in counted:
                each *= some
        return (values.sum(1) * weight).sum(1), slopes.mul_(weight[:, None])

    tiled = (own,) if counted is None else (own, counted[..., None])
    size = tile_size(weight.numel(), left.device)
    return sum_over_pairs(left, right, part, *tiled, size=size).sum()


@eager  # machine code of its own
def _by_loops(
    groups: Instances,
    cost: LineCost,
    weight: Float[Tensor, "b n"],
    counted: Bool[Tensor, "b p"] | None,
) -> Tensor:
    """Return `cost_of_others` by loops."""
    own = torch.where(groups.labelled, groups.slot, NOBODY)
    own = own if counted is None else torch.where(counted, own, NOWHERE)
    own = own.int().contiguous().numpy()
    weights = weight.detach().contiguous().numpy()
    line = (np.float32(cost.start), np.float32(cost.slope), np.float32(cost.reach))

    def step(parts: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor, list[Tensor]]:
        means, pixels = (x.contiguous().numpy() for x in parts)
        by_mean, by_pixel = np.zeros(means.shape), np.zeros_like(pixels)
        values = []
        for i, x in enumerate(pixels):
            image = (x, own[i], means[i], weights[i])
            values.append(
                costs_of_others(*image, line, np.float32(EPSILON), by_pixel[i], by_mean[i])
            )
        return parts[0].new_tensor(values), [torch.from_numpy(x) for x in (by_mean, by_pixel)]

    pixels = groups.pixels.transpose(1, 2)  # as in memory
    return sum_of_steps(step, max(1, weight.shape[1]), 1, groups.means, pixels).sum()


def log_totals(
    groups: Instances,
    logits: PairFunction,
    weight: Float[Tensor, "b p"],
    *,
    size: int | None = None,
) -> Float[Tensor, ""]:
    """Return sum_p weight_p log sum_n exp(logits(|x_p - mu_n|^2)), n the image's instances.

    Args:
        groups: the instances.
        logits: the logits of squared distances; small for large distances.
        weight: the weight of each pixel.
        size: pixels of every image that are computed at a time (default None: chosen).

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> total = log_totals(groups, lambda squared: (-squared, -1.0), pixel_shares(groups))
        >>> round(total.item(), 2)  # the mean of -d^2, other means being far
        -0.5
    """
    left, right = _factors_of_present(groups)
    size = size or tile_size(groups.counts.numel(), left.device)

    def part(squared: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = logits(squared)  # b t n
        most = values.amax(2)
        powers = (values - most[..., None]).exp_()
        total = powers.sum(2)
        value = ((total.log() + most) * weight).sum(1)
        return value, powers.mul_((weight / total)[..., None]).mul_(slopes)

    return sum_over_pairs(left, right, part, weight, size=size).sum()


@torch.no_grad()
@eager  # many tiles, of which a compiler would make as many pieces of code
def nearest_others(groups: Instances) -> Int[Tensor, "b p"]:
    """Return the column of the instance nearest to each pixel, its own one excepted.

    The result has no meaning for pixels without an instance, and in images with fewer than two
    instances.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> nearest_others(groups).tolist()
        [[1, 1, 0, 0]]
    """
    left, right = _factors_of_present(groups)
    own = groups.slot[..., None]
    size = tile_size(groups.counts.numel(), left.device)
    nearest = [
        (part @ right).scatter_(2, slot, 2 * _FAR).argmin(2)
        for part, slot in zip(left.split(size, 1), own.split(size, 1), strict=True)
    ]
    return torch.cat(nearest, 1)


def _factors_of_present(
    groups: Instances,
) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b d n"]]:
    """Return `distance_factors` by which columns that hold no instance are far from all pixels."""
    left, right = distance_factors(groups)
    farther = torch.zeros_like(right)
    farther[:, -1] = torch.where(groups.present, 0.0, _FAR)
    return left, right + farther
