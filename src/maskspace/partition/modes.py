"""Pixels and the modes that they belong to: samples of the first, the nearest of the second."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

_BLOCK = 2**16  # pixels compared with all modes at one time


def evenly_spaced(count: int, limit: int) -> Int64[Tensor, " n"]:
    """Return `limit` indices below `count` at even steps, or all if there are no more."""
    number = min(count, limit)
    return torch.arange(number) * count // max(number, 1)


def squared_distances(
    points: Float32[Tensor, "n c"], others: Float32[Tensor, "m c"]
) -> Float32[Tensor, "n m"]:
    """Return |x - y|^2 of all pairs by one product; rounding is about 1e-7 |x|^2, never below 0."""
    norms = points.square().sum(1)[:, None] + others.square().sum(1)
    return torch.addmm(norms, points, others.T, alpha=-2).clamp_(min=0)


def nearest_mode(
    pixels: Float32[Tensor, "p c"], modes: Float32[Tensor, "n c"]
) -> tuple[Int64[Tensor, " p"], Float32[Tensor, " p"]]:
    """Return the index of the mode nearest to each pixel, of equal ones the first, and how far.

    Distances are of differences, so that equal vectors are 0 apart. There is at least one mode.
    """
    found = [
        torch.cdist(block, modes, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        for block in pixels.split(_BLOCK)
    ]
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])
