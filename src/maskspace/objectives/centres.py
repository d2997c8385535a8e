"""The centre of an instance: rules of EmbedSeg (Lalit et al. 2022, MedIA 81).

Positions are those of pixel centres, x before y. The centroid is the mean rounded to a pixel; it
may lie outside a ring or a crescent. Medoids are pixels of the mask. EmbedSeg finds them in the
whole image, and uses the mean where the crop has cut them off; here an instance is the part that
the crop shows. Of two equally good pixels the first in reading order is taken.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.objectives.pixels import Instances, instances, own_squared_distance
from maskspace.objectives.positions import positions

#: Values of one chunk of instance-sized maps that transforms may hold at once.
CHUNK = 2**24


def mean_pixels(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "b n 2"]:
    """Return the mean position of each instance, ascending in label; 0 in unused columns.

    Example:
        >>> mean_pixels(torch.tensor([[[1, 1, 0, 1]]])).round(decimals=3).tolist()
        [[[1.833, 0.5]]]
    """
    return instances(positions(labels), labels).means


def centroids(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "b n 2"]:
    """Return the pixel in which each instance's mean lies; halves go to the even one.

    Example:
        >>> centroids(torch.tensor([[[1, 1, 0, 1]]])).tolist()  # the mean, 1.83, lies in pixel 1
        [[[1.5, 0.5]]]
    """
    return (mean_pixels(labels) - 0.5).round() + 0.5


def approximate_medoids(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "b n 2"]:
    """Return the pixel of each instance nearest to the median of its x and of its y.

    Example:
        >>> approximate_medoids(torch.tensor([[[1, 1, 0, 0, 0, 1]]])).tolist()
        [[[1.5, 0.5]]]
    """
    groups = instances(positions(labels), labels)
    if groups.means.shape[1] == 0:
        return groups.means
    medians = torch.stack([_medians(groups.pixels[..., axis], groups) for axis in (0, 1)], -1)
    moved = Instances(groups.pixels, groups.slot, groups.labelled, medians, groups.counts)
    return _cheapest(own_squared_distance(moved), groups)


def medoids(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "b n 2"]:
    """Return the pixel of each instance with the least sum of distances to all of its pixels.

    The sums are convolutions of masks with the distance, by Fourier transforms of twice the image's
    size a side: a tenth of a second for each instance of a megapixel, on one core.

    Example:
        >>> medoids(torch.tensor([[[1, 0, 0, 1, 1]]])).tolist()
        [[[3.5, 0.5]]]
    """
    groups = instances(positions(labels), labels)
    if groups.means.shape[1] == 0:
        return groups.means
    height, width = labels.shape[1:]
    shape = (2 * height, 2 * width)
    rows, columns = (
        torch.fft.fftfreq(length, 1 / length, dtype=torch.float64, device=labels.device)
        for length in shape
    )
    distance = torch.fft.rfft2(torch.hypot(rows[:, None], columns[None]))
    image, column = groups.present.nonzero(as_tuple=True)
    best = []
    for part in torch.arange(len(image), device=image.device).split(
        max(1, CHUNK // (shape[0] * shape[1]))
    ):
        own = (groups.slot[image[part]] == column[part, None]) & groups.labelled[image[part]]
        masks = own.unflatten(1, (height, width)).double()
        sums = torch.fft.irfft2(torch.fft.rfft2(masks, s=shape) * distance, s=shape)
        # rounded, so that sums that are equal by symmetry are equal
        sums = sums[:, :height, :width].flatten(1).round(decimals=4)
        best.append(torch.where(own, sums, torch.inf).argmin(1))
    centres = torch.zeros_like(groups.means)
    centres[image, column] = groups.pixels[image, torch.cat(best)]
    return centres


CENTRES: dict[str, Callable[[Int[Tensor, "b h w"]], Float[Tensor, "b n 2"]]] = {
    "approximate_medoid": approximate_medoids,
    "centroid": centroids,
    "mean": mean_pixels,
    "medoid": medoids,
}


def towards(
    labels: Int[Tensor, "b h w"], centres: Float[Tensor, "b n 2"]
) -> Float[Tensor, "b 2 h w"]:
    """Return the unit vector from every pixel of an instance to its centre.

    It is 0 at the centre itself, which has no direction, and on pixels without an instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 1, 0]]])
        >>> towards(labels, mean_pixels(labels))[:, 0].tolist()  # right, none, left, none
        [[[1.0, 0.0, -1.0, 0.0]]]
    """
    groups = instances(positions(labels), labels)
    if centres.shape[1] == 0:
        return torch.zeros_like(positions(labels))
    own = torch.gather(centres, 1, groups.slot[..., None].expand_as(groups.pixels))
    vectors = torch.where(groups.labelled[..., None], own - groups.pixels, 0.0)
    return F.normalize(vectors, dim=2).transpose(1, 2).unflatten(2, labels.shape[1:])


def _medians(values: Float[Tensor, "b p"], groups: Instances) -> Float[Tensor, "b n"]:
    """Return the median of each instance's values; of an even number, between the middle two."""
    columns = groups.counts.shape[1]
    slot = torch.where(groups.labelled, groups.slot, columns)
    ordered = values.argsort(dim=1, stable=True)
    ordered = ordered.gather(1, slot.gather(1, ordered).argsort(dim=1, stable=True))
    counts = groups.counts.long()
    first = counts.cumsum(1) - counts
    last = values.shape[1] - 1
    middle = [(first + (counts - 1 + more).div(2, rounding_mode="floor")) for more in (0, 1)]
    pair = [values.gather(1, ordered.gather(1, index.clamp(0, last))) for index in middle]
    return (pair[0] + pair[1]) / 2


def _cheapest(cost: Float[Tensor, "b p"], groups: Instances) -> Float[Tensor, "b n 2"]:
    """Return the position of each instance's first pixel of least cost."""
    pixels = cost.shape[1]
    cost = torch.where(groups.labelled, cost, torch.inf)
    least = torch.full_like(groups.counts, torch.inf).scatter_reduce(1, groups.slot, cost, "amin")
    is_least = groups.labelled & (cost == least.gather(1, groups.slot))
    index = torch.arange(pixels, device=cost.device).expand_as(groups.slot)
    index = torch.where(is_least, index, pixels - 1)
    first = torch.full(least.shape, pixels - 1, device=cost.device)
    first = first.scatter_reduce(1, groups.slot, index, "amin")
    centres = groups.pixels.gather(1, first[..., None].expand(-1, -1, 2))
    return torch.where(groups.present[..., None], centres, 0.0)
