"""Seeded mean shift: a few seeds climb to the modes of the pixels' density, pixels go to the modes.

As in UOIS-Net-3D (Xie et al. 2021, arXiv 2007.08073). Input: an embedding. Steps: the density is
that of a sample of pixels; all seeds move together, by products of matrices, to the weighted mean
of the points around them; of modes close together the densest stays; each pixel goes to its nearest
mode. Cost: seeds x sample products a step.

Departures: nothing is drawn at random, so the same outputs give the same answer. Half of the seeds
are the sample at even steps, which finds what is large; each of the others is the point farthest
from all seeds so far, which finds what is small. Modes are thinned out by density, not joined in
chains.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from maskspace.partition.decoded import cells, foreground_of, gathered
from maskspace.partition.modes import evenly_spaced, nearest_mode, squared_distances
from maskspace.partition.offset_read import embedding_of
from maskspace.prediction import Prediction

Kernel = Literal["gaussian", "flat", "von_mises_fisher"]


def mean_shift(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    bandwidth: float,
    kernel: Kernel = "gaussian",
    seeds: int = 200,
    steps: int = 20,
    sample: int = 10_000,
    reach: float = 2.0,
    min_area: int = 16,
) -> Prediction:
    """Return the instances of the pixels that share a nearest mode.

    The score is the mean over an instance of the kernel at its mode, in [0, 1].

    Args:
        outputs: an embedding level, and `foreground` if the network has it.
        bandwidth: distance in the embedding, > 0: the standard deviation of "gaussian", the radius
            of "flat". Of modes nearer than it the densest stays.
        kernel: "gaussian", "flat", or "von_mises_fisher": the Gaussian of vectors of length 1,
            which stay on the sphere, with concentration 1 / bandwidth^2 (default "gaussian").
        seeds: most seeds, >= 1 (default 200).
        steps: how often the seeds move, >= 0 (default 20).
        sample: most pixels that the density is made of, >= 1 (default 10 000).
        reach: pixels farther from their mode than so many bandwidths are in no instance (default
            2).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Raises ValueError for an option outside of its range.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> mean_shift({"1": halves}, bandwidth=0.2).labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
        >>> mean_shift({"1": halves}, bandwidth=5.0).labels[0].tolist()
        [1, 1, 1, 1, 1, 1, 1, 1]
    """
    if bandwidth <= 0 or seeds < 1 or steps < 0 or sample < 1:
        raise ValueError(
            "mean_shift: bandwidth is above 0, seeds and sample at least 1, steps at least 0; "
            f"got {bandwidth}, {seeds}, {sample}, {steps}"
        )
    embedding = embedding_of(outputs)
    inside = foreground_of(outputs, (embedding.shape[1], embedding.shape[2]))
    labels = torch.zeros(inside.shape, dtype=torch.int64, device=inside.device)
    quality = torch.zeros(inside.shape, device=inside.device)
    pixels = embedding[:, inside].T.contiguous()
    if len(pixels):
        pixels = F.normalize(pixels, dim=1) if kernel == "von_mises_fisher" else pixels
        pixels = pixels - pixels.mean(0) if kernel != "von_mises_fisher" else pixels
        points = pixels[evenly_spaced(len(pixels), sample).to(pixels.device)]
        shifted = shift(
            spread_seeds(points, seeds), points, bandwidth=bandwidth, kernel=kernel, steps=steps
        )
        modes = shifted[densest(shifted, points, bandwidth=bandwidth, kernel=kernel)]
        index, distance = nearest_mode(pixels, modes)
        labels[inside] = torch.where(distance <= reach * bandwidth, index + 1, 0)
        quality[inside] = kernel_value(distance.square(), bandwidth=bandwidth, kernel=kernel)
    return gathered(labels.cpu().numpy(), quality.cpu().numpy(), min_area=cells(outputs, min_area))


def kernel_value(
    squared: Float32[Tensor, "*shape"], *, bandwidth: float, kernel: Kernel
) -> Float32[Tensor, "*shape"]:
    """Return the kernel of squared distances; it is 1 at distance 0.

    `bandwidth` and `kernel` are those of `mean_shift`.

    Example:
        >>> import torch
        >>> kernel_value(torch.tensor([0.0, 0.5, 2.0]), bandwidth=1.0, kernel="flat").tolist()
        [1.0, 1.0, 0.0]
    """
    if kernel == "flat":
        return (squared <= bandwidth**2).to(squared.dtype)
    return (squared * (-0.5 / bandwidth**2)).exp()


def spread_seeds(points: Float32[Tensor, "n c"], seeds: int) -> Float32[Tensor, "m c"]:
    """Return up to `seeds` of the points: half at even steps, each other farthest from all before.

    Example:
        >>> import torch
        >>> spread_seeds(torch.tensor([[0.0], [0.1], [0.2], [5.0]]), 2).tolist()
        [[0.0], [5.0]]
    """
    if seeds >= len(points):
        return points
    first = points[evenly_spaced(len(points), (seeds + 1) // 2).to(points.device)]
    nearest = squared_distances(points, first).min(1).values
    farthest = []
    for _ in range(seeds // 2):
        newest = points.index_select(0, nearest.argmax()[None])
        farthest.append(newest)
        nearest = torch.minimum(nearest, (points - newest).square().sum(1))
    return torch.cat([first, *farthest])


def shift(
    seeds: Float32[Tensor, "m c"],
    points: Float32[Tensor, "n c"],
    *,
    bandwidth: float,
    kernel: Kernel,
    steps: int,
) -> Float32[Tensor, "m c"]:
    """Return the seeds, moved `steps` times to the mean of the points, weighted by the kernel.

    A seed with no point inside its kernel stays where it is. `bandwidth` and `kernel` are those of
    `mean_shift`.

    Example:
        >>> import torch
        >>> points = torch.tensor([[0.0], [1.0], [9.0]])
        >>> shift(torch.tensor([[0.2]]), points, bandwidth=2.0, kernel="flat", steps=3).tolist()
        [[0.5]]
    """
    for _ in range(steps):
        weights = kernel_value(squared_distances(seeds, points), bandwidth=bandwidth, kernel=kernel)
        total = weights.sum(1, keepdim=True)
        means = weights @ points / total.clamp(min=torch.finfo(total.dtype).tiny)
        moved = F.normalize(means, dim=1) if kernel == "von_mises_fisher" else means
        seeds = torch.where(total > 0, moved, seeds)
    return seeds


def densest(
    modes: Float32[Tensor, "m c"],
    points: Float32[Tensor, "n c"],
    *,
    bandwidth: float,
    kernel: Kernel,
) -> Int64[Tensor, " k"]:
    """Return the indices of the modes that are more than a bandwidth from every denser one.

    The densest comes first. The density is the sum of the kernel over the points; `bandwidth` and
    `kernel` are those of `mean_shift`.

    Example:
        >>> import torch
        >>> points = torch.tensor([[0.0], [0.0], [9.0]])
        >>> modes = torch.tensor([[9.0], [0.0], [0.1]])
        >>> densest(modes, points, bandwidth=1.0, kernel="flat").tolist()
        [1, 0]
    """
    squared = squared_distances(modes, points)
    density = kernel_value(squared, bandwidth=bandwidth, kernel=kernel).sum(1).cpu().numpy()
    # computed from differences: modes that the shift has brought together then have distance 0
    is_near = torch.cdist(modes, modes, compute_mode="donot_use_mm_for_euclid_dist") <= bandwidth
    is_near = is_near.cpu().numpy()
    chosen: list[int] = []
    is_taken = np.zeros(len(is_near), bool)
    for index in np.argsort(-density, kind="stable").tolist():
        if not is_taken[index]:
            chosen.append(index)
            is_taken |= is_near[index]
    return torch.tensor(chosen, dtype=torch.int64, device=modes.device)
