"""Lovász hinges of Gaussians around centres, one of each instance, summed by image: by loops."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskspace.eager import eager
from maskspace.kernels.lovasz_slopes import slopes_by_radix
from maskspace.kernels.pairs import NOBODY, add_gaussian_gradients, gaussian_errors
from maskspace.objectives.pixels import Instances
from maskspace.objectives.tiles import sum_of_steps


@eager  # machine code of its own
def gaussian_costs(
    groups: Instances,
    centres: Float[Tensor, "b n c"],
    sharpness: Float[Tensor, "b n c"],
    known: Bool[Tensor, "b p"],
    weight: Float[Tensor, "b n"],
    *,
    chunk: int,
) -> Float[Tensor, " b"]:
    """Return each image's weighted sum of the Lovász hinges of 2 phi_n - 1, n its instances.

    phi_n(p) = exp(-sum_c sharpness_nc (x_pc - centre_nc)^2), of `known` pixels. For tensors that
    the kernels take, `chunk` instances at a time; no gradient reaches `weight`.

    Example:
        >>> from maskspace.objectives.pixels import instances, shares
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> groups = instances(9.0 * labels[:, None].float(), labels)
        >>> known = torch.ones(1, 4, dtype=torch.bool)
        >>> options = torch.ones_like(groups.means), known, shares(groups)
        >>> round(gaussian_costs(groups, groups.means, *options, chunk=2).item(), 4)
        0.0
    """
    own = torch.where(groups.labelled, groups.slot, NOBODY).int().contiguous().numpy()
    certain = known.contiguous().numpy()
    # the hinge of 2 phi - 1 errs by 2 (1 - phi) inside and by 2 phi outside
    weights = (2 * weight.detach()).contiguous().numpy()

    def step(parts: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor, list[Tensor]]:
        middles, factors, pixels = (x.contiguous().numpy() for x in parts)
        by_centre, by_sharpness = (np.zeros(middles.shape) for _ in range(2))
        by_pixel = np.zeros_like(pixels)
        values = np.zeros(len(pixels))
        # written over and over: new memory costs as much as what is done in it
        shape = (max(1, min(chunk, middles.shape[1])), pixels.shape[2])
        errors, slopes = np.empty(shape, np.float32), np.empty(shape, np.float32)
        true, scratch = np.empty(shape, np.bool_), np.empty((2, shape[1]), np.uint64)
        for image, x in enumerate(pixels):
            (present,) = weights[image].nonzero()
            for columns in np.split(present, range(len(true), len(present), len(true))):
                gaussians = middles[image, columns], factors[image, columns]
                error, hit, slope = (array[: len(columns)] for array in (errors, true, slopes))
                gaussian_errors(x, own[image], columns, *gaussians, error, hit)
                maps = (hit, certain[image, None], slope)
                slopes_by_radix(error.view(np.int32), *maps, scratch)
                sums = by_centre[image, columns], by_sharpness[image, columns]  # copies: 0
                maps = (weights[image, columns], error, hit, slope, by_pixel[image])
                values[image] += add_gaussian_gradients(x, *gaussians, *maps, *sums)
                by_centre[image, columns], by_sharpness[image, columns] = sums
        gradients = [torch.from_numpy(x) for x in (by_centre, by_sharpness, by_pixel)]
        return torch.from_numpy(values).to(parts[0].dtype), gradients

    pixels = groups.pixels.transpose(1, 2)  # as in memory
    return sum_of_steps(step, max(1, weight.shape[1]), 2, centres, sharpness, pixels)
