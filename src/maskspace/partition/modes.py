"""Samples of pixels, and the mode that is nearest to each pixel."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

_BLOCK = 2**16  # pixels that are compared with all modes at a time


def evenly_spaced(count: int, limit: int) -> Int64[Tensor, " n"]:
    """Return `limit` indices below `count` at even steps, or all of them if there are fewer.

    Example:
        >>> evenly_spaced(10, 5).tolist(), evenly_spaced(3, 5).tolist()
        ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    number = min(count, limit)
    return torch.arange(number) * count // max(number, 1)


def squared_distances(
    points: Float32[Tensor, "n c"], others: Float32[Tensor, "m c"]
) -> Float32[Tensor, "n m"]:
    """Return |x - y|^2 of all pairs, by one product of matrices.

    The rounding error is about 1e-7 |x|^2; no value is below 0.

    Example:
        >>> others = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
        >>> squared_distances(torch.zeros(1, 2), others).tolist()
        [[25.0, 1.0]]
    """
    norms = points.square().sum(1)[:, None] + others.square().sum(1)
    return torch.addmm(norms, points, others.T, alpha=-2).clamp_(min=0)


def nearest_mode(
    pixels: Float32[Tensor, "p c"], modes: Float32[Tensor, "n c"]
) -> tuple[Int64[Tensor, " p"], Float32[Tensor, " p"]]:
    """Return the index of the mode nearest to each pixel, and its distance.

    Of equally near modes the first counts. Distances are computed from differences, so that equal
    vectors have distance 0. `modes` has at least one row.

    Example:
        >>> pixels, modes = torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [5.0]])
        >>> index, distance = nearest_mode(pixels, modes)
        >>> index.tolist(), distance.tolist()
        ([0, 1], [1.0, 1.0])
    """
    nearest = [
        torch.cdist(block, modes, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        for block in pixels.split(_BLOCK)
    ]
    return torch.cat([f.indices for f in nearest]), torch.cat([f.values for f in nearest])
