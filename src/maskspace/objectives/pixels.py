"""What the objectives share: instances of a batch, their means, distances.

Distances are Euclidean. Labels are n > 0 on instances, 0 on the background, UNLABELLED elsewhere.
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

    `pixels` holds every pixel's feature in float32; `slot` is the column of `means` of a pixel's
    own instance and `labelled` is False where it has none (its slot is then 0 and meaningless);
    `counts` is 0 in the columns that an image does not use.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> found.means[0, :, 0].tolist(), found.counts[0].tolist()
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

    Sums are index additions in float32 (of double precision: in it), also under autocast; no loop
    over instances.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> found.slot.tolist(), found.means[0, :, 0].tolist()
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
    """Return labels renumbered 0, 1, ... within each image, ascending, and the largest count.

    Pixels of label 0 or below get slot 0; the caller masks them.

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


def own_distance(found: Instances) -> Float[Tensor, "b p"]:
    """Return the distance of every pixel to the mean of its own instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> own_distance(found).round(decimals=3).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    return (own_squared_distance(found) + EPSILON).sqrt()


def own_squared_distance(found: Instances) -> Float[Tensor, "b p"]:
    """Return the squared distance of every pixel to the mean of its own instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> own_squared_distance(found).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    pixels = found.pixels.transpose(1, 2)  # b c p, as it lies in memory
    own = found.means.transpose(1, 2).gather(2, found.slot[:, None].expand_as(pixels))
    return (pixels - own).square().sum(1)


def distance_factors(found: Instances) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b d n"]]:
    """Return two matrices whose product holds the squared distances of pixels to means.

    |x - m|^2 = |x|^2 - 2 x.m + |m|^2 with two channels more than the features, so that no
    pixel-by-instance-by-channel array exists and the large one is written once.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> left, right = distance_factors(found)
        >>> (left @ right).tolist()  # four pixels, two means at 1 and 6
        [[[1.0, 36.0], [1.0, 16.0], [25.0, 0.0], [25.0, 0.0]]]
    """
    pixels, means = (x.transpose(1, 2) for x in (found.pixels, found.means))  # as in memory
    pixel_norms, mean_norms = (x.square().sum(1, keepdim=True) for x in (pixels, means))
    left = torch.cat([pixels, pixel_norms, torch.ones_like(pixel_norms)], dim=1)
    right = torch.cat([-2 * means, torch.ones_like(mean_norms), mean_norms], dim=1)
    return left.transpose(1, 2), right


def mean_over_instances(values: Float[Tensor, "b p"], found: Instances) -> Float[Tensor, "b n"]:
    """Return the mean of a per-pixel value over each instance; 0 in unused columns.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> mean_over_instances(torch.tensor([[1.0, 3.0, 5.0, 5.0]]), found).tolist()
        [[2.0, 5.0]]
    """
    own = torch.where(found.labelled, values, 0.0)
    sums = torch.zeros_like(found.counts).scatter_add(1, found.slot, own)
    return sums / found.counts.clamp(min=1)


def mean_over_present(values: Float[Tensor, "b n"], found: Instances) -> Float[Tensor, ""]:
    """Return the mean over the batch of each image's mean over its instances.

    Images without an instance take no part; 0 if no image has one.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> mean_over_present(torch.tensor([[2.0, 5.0]]), found).item()
        3.5
    """
    return (values * shares(found)).sum()


def shares(found: Instances) -> Float[Tensor, "b n"]:
    """Return what every instance weighs in `mean_over_present`; 0 in unused columns.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> shares(found).tolist()
        [[0.5, 0.5]]
    """
    number = found.present.sum(1, keepdim=True)
    images = (number > 0).sum().clamp(min=1)
    return found.present.to(found.counts.dtype) / (number.clamp(min=1) * images)


def pixel_shares(found: Instances) -> Float[Tensor, "b p"]:
    """Return what every pixel weighs in the `mean_over_present` of `mean_over_instances`.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> pixel_shares(found).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    each = shares(found) / found.counts.clamp(min=1)
    return torch.where(found.labelled, each.gather(1, found.slot), 0.0)


@dataclass(frozen=True)
class LineCost:
    """A cost of distances, and of their squares a `PairFunction`, that is a line up to `reach`.

    start + slope d below it, 0 from there.

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
    found: Instances,
    cost: PairFunction,
    weight: Float[Tensor, "b n"],
    counted: Bool[Tensor, "b p"] | None = None,
) -> Float[Tensor, ""]:
    """Return sum_n weight_n sum_{p not in n} cost(|x_p - mu_n|^2), over `counted` pixels or all.

    An instance's own pixels are left out before the sum: taken off it, of one that is nearly all of
    the image, they would leave the rounding of two large numbers. No gradient reaches `weight`.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> total = cost_of_others(found, LineCost(0.0, 1.0), torch.ones(1, 2))
        >>> round(total.item(), 3)  # 5 + 5 + 6 + 4
        20.0
    """
    if isinstance(cost, LineCost) and kernels_take(found.pixels):
        return _by_loops(found, cost, weight, counted)
    left, right = distance_factors(found)
    # pixels of no instance leave out a spare last column, which weighs nothing
    own = torch.where(found.labelled, found.slot, right.shape[2])[..., None]
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
    found: Instances,
    cost: LineCost,
    weight: Float[Tensor, "b n"],
    counted: Bool[Tensor, "b p"] | None,
) -> Tensor:
    """Return `cost_of_others` by loops."""
    own = torch.where(found.labelled, found.slot, NOBODY)
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

    pixels = found.pixels.transpose(1, 2)  # as in memory
    return sum_of_steps(step, max(1, weight.shape[1]), 1, found.means, pixels).sum()


def log_totals(
    found: Instances,
    logits: PairFunction,
    weight: Float[Tensor, "b p"],
    *,
    size: int | None = None,
) -> Float[Tensor, ""]:
    """Return sum_p weight_p log sum_n exp(logits(|x_p - mu_n|^2)), n the instances of the image.

    `logits` are small where distances are large. `size` pixels of every image are taken at a time.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> total = log_totals(found, lambda squared: (-squared, -1.0), pixel_shares(found))
        >>> round(total.item(), 2)  # the mean of -d^2, other means being far
        -0.5
    """
    left, right = _factors_of_present(found)
    size = size or tile_size(found.counts.numel(), left.device)

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
def nearest_others(found: Instances) -> Int[Tensor, "b p"]:
    """Return the column of the instance nearest to each pixel of another.

    Of pixels of no instance, and in images without another, that means nothing.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> found = instances(torch.tensor([[[[0.0, 2.0, 6.0, 6.0]]]]), labels)
        >>> nearest_others(found).tolist()
        [[1, 1, 0, 0]]
    """
    left, right = _factors_of_present(found)
    own = found.slot[..., None]
    size = tile_size(found.counts.numel(), left.device)
    nearest = [
        (part @ right).scatter_(2, slot, 2 * _FAR).argmin(2)
        for part, slot in zip(left.split(size, 1), own.split(size, 1), strict=True)
    ]
    return torch.cat(nearest, 1)


def _factors_of_present(
    found: Instances,
) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b d n"]]:
    """Return `distance_factors` by which columns that hold no instance are far from all pixels."""
    left, right = distance_factors(found)
    farther = torch.zeros_like(right)
    farther[:, -1] = torch.where(found.present, 0.0, _FAR)
    return left, right + farther
