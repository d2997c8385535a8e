"""What the objectives share: labels at a stride, instances of a batch, their means, distances.

Distances are Euclidean. Labels are n > 0 on instances, 0 on the background, UNLABELLED elsewhere.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.objectives.masks import at_least_float32

#: The label of pixels of which nobody knows what they are.
UNLABELLED = -1
#: Added under square roots: the gradient of a norm at 0 is 0 instead of NaN.
EPSILON = 1e-12


def labels_at(labels: Int[Tensor, "b h w"], stride: int) -> Int[Tensor, "b i j"]:
    """Return the label of each stride x stride cell, UNLABELLED where it holds more than one."""
    if stride == 1:
        return labels
    wide = labels[:, None].double()  # exact, as float32 is not above 2**24
    least = -F.max_pool2d(-wide, stride, ceil_mode=True)[:, 0]
    most = F.max_pool2d(wide, stride, ceil_mode=True)[:, 0]
    return torch.where(least == most, most, UNLABELLED).long()


@dataclass(frozen=True)
class Instances:
    """The labelled pixels of a batch of images, grouped by instance.

    `pixels` holds every pixel's feature in float32; `slot` is the column of `means` of a pixel's
    own instance and `labelled` is False where it has none (its slot is then 0 and meaningless);
    `counts` is 0 in the columns that an image does not use.
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
    """
    pixels = at_least_float32(embedding).flatten(2).transpose(1, 2)  # b p c
    slot, columns = dense_slots(labels.flatten(1))
    labelled = labels.flatten(1) > 0
    batch, _, channels = pixels.shape
    rows = torch.arange(batch, device=slot.device)[:, None] * (columns + 1)
    # unlabelled pixels go to a spare last column, which is sliced off
    index = (rows + torch.where(labelled, slot, columns)).flatten()
    counts = pixels.new_zeros(batch * (columns + 1))
    counts = counts.index_add(0, index, torch.ones_like(index, dtype=pixels.dtype))
    sums = pixels.new_zeros(len(counts), channels)
    sums = sums.index_add(0, index, pixels.flatten(0, 1))
    counts = counts.unflatten(0, (batch, -1))[:, :columns]
    sums = sums.unflatten(0, (batch, -1))[:, :columns]
    return Instances(
        pixels=pixels,
        slot=slot,
        labelled=labelled,
        means=sums / counts.clamp(min=1)[..., None],
        counts=counts,
    )


def dense_slots(labels: Int[Tensor, "b p"]) -> tuple[Int[Tensor, "b p"], int]:
    """Return labels renumbered 0, 1, ... within each image, ascending, and the largest count.

    Pixels of label 0 or below get slot 0; the caller masks them.
    """
    labels = labels.clamp(min=0)
    batch = len(labels)
    rows = torch.arange(batch, device=labels.device)[:, None]
    span = int(labels.max()) + 1 if labels.numel() else 1
    values, inverse = torch.unique(labels + rows * span, return_inverse=True)
    real = (values % span) != 0
    before = torch.cumsum(real, 0) - real.long()  # instances of all images up to this value
    per_image = torch.zeros(batch, dtype=torch.long, device=labels.device)
    per_image = per_image.index_add(0, values // span, real.long())
    first = torch.cumsum(per_image, 0) - per_image
    slot = (before[inverse.view_as(labels)] - first[:, None]).clamp(min=0)
    return torch.where(labels != 0, slot, 0), int(per_image.max()) if batch else 0


def belongs(found: Instances) -> Bool[Tensor, "b p n"]:
    """Return whether each pixel is of each instance."""
    column = torch.arange(found.means.shape[1], device=found.slot.device)
    return (found.slot[..., None] == column) & found.labelled[..., None]


def own_distance(found: Instances) -> Float[Tensor, "b p"]:
    """Return the distance of every pixel to the mean of its own instance."""
    return (own_squared_distance(found) + EPSILON).sqrt()


def own_squared_distance(found: Instances) -> Float[Tensor, "b p"]:
    """Return the squared distance of every pixel to the mean of its own instance."""
    own = torch.gather(found.means, 1, found.slot[..., None].expand_as(found.pixels))
    return (found.pixels - own).square().sum(-1)


def squared_distances(found: Instances) -> Float[Tensor, "b p n"]:
    """Return the squared distance of every pixel to every mean of its image.

    Rounding may leave values of about -1e-7.
    """
    left, right = distance_factors(found)
    return left @ right


def distance_factors(found: Instances) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b d n"]]:
    """Return two matrices whose product holds the squared distances of pixels to means.

    |x - m|^2 = |x|^2 - 2 x.m + |m|^2 with two channels more than the features, so that no
    pixel-by-instance-by-channel array exists and the large one is written once.
    """
    pixel_norms = found.pixels.square().sum(-1, keepdim=True)
    mean_norms = found.means.square().sum(-1, keepdim=True)
    left = torch.cat([found.pixels, pixel_norms, torch.ones_like(pixel_norms)], dim=-1)
    right = torch.cat([-2 * found.means, torch.ones_like(mean_norms), mean_norms], dim=-1)
    return left, right.transpose(1, 2)


def mean_over_instances(values: Float[Tensor, "b p"], found: Instances) -> Float[Tensor, "b n"]:
    """Return the mean of a per-pixel value over each instance; 0 in unused columns."""
    own = torch.where(found.labelled, values, 0.0)
    sums = torch.zeros_like(found.counts).scatter_add(1, found.slot, own)
    return sums / found.counts.clamp(min=1)


def mean_over_present(values: Float[Tensor, "b n"], found: Instances) -> Float[Tensor, ""]:
    """Return the mean over the batch of each image's mean over its instances.

    Images without an instance take no part; 0 if no image has one.
    """
    number = found.present.sum(1)
    per_image = (values * found.present).sum(1) / number.clamp(min=1)
    return per_image.sum() / (number > 0).sum().clamp(min=1)
