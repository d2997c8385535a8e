"""The cluster term of UOIS-Net-3D (arXiv 2007.08073): what mean shift makes of an embedding.

It is the loss of Kong and Fowlkes 2018 (arXiv 1712.08273) on every step of a recurrent grouping,
with seeds drawn by the truth in place of all pixels.

Input: the instances of each image.
Idea: seeds move by mean shift; where they go must be near their own instance and far from others.
Steps: take every fifth pixel of the instances; draw seeds among them, in turns by instance; move
    the seeds; after each step add the costs of all pairs of a seed and a pixel.
Cost: steps times seeds times a fifth of the pixels.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskspace.objectives.pixels import EPSILON, Instances
from maskspace.objectives.tiles import sum_over_tiles, tile_size

#: One in so many pixels of objects is a point that seeds move towards.
SUBSAMPLE = 5
#: A coordinate that no seed comes near.
_FAR = 1e4


@dataclass(frozen=True)
class Sampled:
    """Some pixels of instances.

    place: their features.
    slot: the column of their instance.
    valid: whether a pixel is one, and no padding.
    weight: 1 over the number of the instance's sampled pixels; 0 for padding.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> from maskspace.objectives.pixels import instances
        >>> points = fifth_pixels(instances(torch.zeros(1, 2, 1, 4), labels))
        >>> points.valid.tolist(), points.weight.tolist()
        ([[True]], [[1.0]])
    """

    place: Float[Tensor, "b m 2"]
    slot: Int[Tensor, "b m"]
    valid: Bool[Tensor, "b m"]
    weight: Float[Tensor, "b m"]


def cluster_costs(
    groups: Instances, *, sigma: float, delta: float, seeds: int, steps: int
) -> Float[Tensor, " b"]:
    """Return for each image the mean over mean-shift steps of the cost of seeds.

    `seeds` pixels are drawn in turns from the instances. They move `steps` times to the mean of
    every fifth pixel on instances, weighed by a Gaussian of standard deviation `sigma`. After each
    step seed i and pixel j cost |z_i - x_j|^2 if they are of one instance, else [delta - |z_i -
    x_j|]+^2. The mean is taken over each pair of instances and summed over the pairs, as in the
    paper. It is 0 in images without instances. Lengths are in units of the features.

    Example:
        >>> from maskspace.objectives.pixels import instances
        >>> labels = (torch.arange(20) // 10 + 1).view(1, 2, 10)  # an instance a row
        >>> apart = labels[:, None].expand(-1, 2, -1, -1).float()
        >>> options = {"sigma": 0.02, "delta": 0.1, "seeds": 4, "steps": 2}
        >>> round(cluster_costs(instances(apart, labels), **options).item(), 4)
        0.0
    """
    points = fifth_pixels(groups)
    moved = seeds_in_turns(points, seeds, columns=groups.counts.shape[1])
    centres, spread = _moments(points, columns=groups.counts.shape[1])
    # padding is so far away that no seed moves to it; it costs nothing, as its weight is 0
    place = torch.where(points.valid[..., None], points.place, _FAR)

    def part(
        seed: Tensor, slot: Tensor, weight: Tensor, centre: Tensor, spread: Tensor, *to: Tensor
    ) -> Tensor:
        place, column, share = to
        foreign = (slot[:, :, None] != column[:, None]) * (weight[:, :, None] * share[:, None])
        squared, cost = _squared(seed, place), torch.zeros_like(seed[:, 0, 0])
        for _ in range(steps):
            seed = (squared * (-0.5 / sigma**2)).softmax(2) @ place
            squared = _squared(seed, place)
            short = (delta - (squared + EPSILON).sqrt()).clamp(min=0).square()
            # of one instance: the mean of |z - x_j|^2 is |z - mean|^2 and what x_j vary around it
            own = (seed - centre).square().sum(2) + spread
            cost = cost + (weight * own).sum(1) + (foreign * short).sum((1, 2))
        return cost / steps

    own_centre = centres.gather(1, moved.slot[..., None].expand(-1, -1, 2))
    seeded = (moved.place, moved.slot, moved.weight, own_centre, spread.gather(1, moved.slot))
    size = tile_size(place.shape[:2].numel(), place.device)
    return sum_over_tiles(part, seeded, (place, points.slot, points.weight), size=size)


def _moments(
    points: Sampled, *, columns: int
) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
    """Return the mean of each instance's points and their mean squared distance from it."""
    slot = points.slot[..., None].expand(-1, -1, 2)
    centres = points.place.new_zeros(len(slot), columns, 2)
    centres = centres.scatter_add(1, slot, points.weight[..., None] * points.place)
    away = (points.place - centres.gather(1, slot)).square().sum(2) * points.weight
    return centres, torch.zeros_like(centres[..., 0]).scatter_add(1, points.slot, away)


def fifth_pixels(groups: Instances) -> Sampled:
    """Return every fifth of an image's pixels on instances, in reading order, then padding.

    Example:
        >>> from maskspace.objectives.pixels import instances
        >>> labels = torch.ones(1, 1, 10, dtype=torch.long)
        >>> x = torch.arange(10.0).expand(1, 2, 1, 10)
        >>> fifth_pixels(instances(x, labels)).place[0].tolist()
        [[0.0, 0.0], [5.0, 5.0]]
    """
    rank = groups.labelled.cumsum(1) - 1
    is_fifth = groups.labelled & (rank % SUBSAMPLE == 0)
    number = -(-is_fifth.shape[1] // SUBSAMPLE)
    index = is_fifth.int().argsort(dim=1, descending=True, stable=True)[:, :number]
    place = groups.pixels.gather(1, index[..., None].expand(-1, -1, 2))
    slot, valid = groups.slot.gather(1, index), is_fifth.gather(1, index)
    return _weighed(place, slot, valid, columns=groups.counts.shape[1])


def seeds_in_turns(points: Sampled, number: int, *, columns: int) -> Sampled:
    """Return random points, the first of every instance, then the second of every one, and so on.

    Drawn on the CPU, whose generator makes the same numbers for every device.

    Example:
        >>> from maskspace.objectives.pixels import instances
        >>> labels = (torch.arange(20) // 15 + 1).view(1, 1, 20)  # 15 and 5 pixels
        >>> points = fifth_pixels(instances(torch.zeros(1, 2, 1, 20), labels))
        >>> sorted(seeds_in_turns(points, 2, columns=2).slot[0].tolist())  # one of each instance
        [0, 1]
    """
    noise = torch.rand(points.slot.shape).to(points.place)
    slot = torch.where(points.valid, points.slot, columns)
    order = noise.argsort(1)
    order = order.gather(1, slot.gather(1, order).argsort(dim=1, stable=True))
    counts = points.place.new_zeros(len(slot), columns + 1)
    counts = counts.scatter_add(1, slot, torch.ones_like(noise)).long()
    first = counts.cumsum(1) - counts
    place = torch.arange(slot.shape[1], device=slot.device).expand_as(slot)
    rank = torch.zeros_like(slot).scatter(1, order, place) - first.gather(1, slot)
    turn = torch.where(points.valid, rank + noise.double(), torch.inf)
    index = turn.argsort(1)[:, :number]
    return _weighed(
        points.place.gather(1, index[..., None].expand(-1, -1, 2)),
        points.slot.gather(1, index),
        points.valid.gather(1, index),
        columns=columns,
    )


def _weighed(
    place: Float[Tensor, "b m 2"],
    slot: Int[Tensor, "b m"],
    valid: Bool[Tensor, "b m"],
    *,
    columns: int,
) -> Sampled:
    counts = place.new_zeros(len(slot), columns).scatter_add(1, slot, valid.to(place))
    weight = torch.where(valid, 1 / counts.gather(1, slot).clamp(min=1), 0.0)
    return Sampled(place, slot, valid, weight)


def _squared(x: Float[Tensor, "b s 2"], y: Float[Tensor, "b m 2"]) -> Float[Tensor, "b s m"]:
    # differences axis by axis: the product form cancels where distances are below a pixel
    across, down = (x[:, :, None, axis] - y[:, None, :, axis] for axis in (0, 1))
    return across.square() + down.square()
