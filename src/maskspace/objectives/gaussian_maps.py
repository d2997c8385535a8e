"""Costs of Gaussians around centres, one of each instance, as a sum over an image: by loops."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from maskspace.eager import eager
from maskspace.kernels.compiled import compiled, vectorised
from maskspace.mask_losses.lovasz import slopes_by_radix
from maskspace.objectives.pairs import NOBODY, add_gaussian_gradients, gaussian_errors
from maskspace.objectives.pixels import Instances
from maskspace.objectives.tiles import sum_of_steps

#: `hinge` is the Lovász hinge of 2 phi - 1; `dice` is 1 - (2 I + 1) / (S + n + 1), I the sum of phi
#: over the n pixels of the instance and S that of phi^2 over all.
Form = Literal["hinge", "dice"]


@eager  # machine code of its own
def gaussian_costs(
    found: Instances,
    centres: Float[Tensor, "b n c"],
    sharpness: Float[Tensor, "b n c"],
    known: Bool[Tensor, "b p"],
    weight: Float[Tensor, "b n"],
    *,
    form: Form,
    chunk: int,
) -> Float[Tensor, " b"]:
    """Return each image's weighted sum of a cost of the maps of its instances.

    phi_n(p) = exp(-sum_c sharpness_nc (x_pc - centre_nc)^2), of `known` pixels. For tensors that
    `pairs` takes, `chunk` instances at a time; no gradient reaches `weight`.
    """
    own = torch.where(found.labelled, found.slot, NOBODY).int().contiguous().numpy()
    certain = known.contiguous().numpy()
    # the hinge of 2 phi - 1 errs by 2 (1 - phi) inside and by 2 phi outside
    weights = (weight.detach() * (2 if form == "hinge" else 1)).contiguous().numpy()

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
                if form == "hinge":
                    slopes_by_radix(error.view(np.int32), *maps, scratch)
                else:
                    values[image] += weights[image, columns] @ dice_tangents(error, *maps)
                found = by_centre[image, columns], by_sharpness[image, columns]  # copies: 0
                maps = (weights[image, columns], error, hit, slope, by_pixel[image])
                values[image] += add_gaussian_gradients(x, *gaussians, *maps, *found)
                by_centre[image, columns], by_sharpness[image, columns] = found
        gradients = [torch.from_numpy(x) for x in (by_centre, by_sharpness, by_pixel)]
        return torch.from_numpy(values).to(parts[0].dtype), gradients

    pixels = found.pixels.transpose(1, 2)  # as in memory
    return sum_of_steps(step, max(1, weight.shape[1]), 2, centres, sharpness, pixels)


@compiled
def dice_tangents(
    errors: Float32[np.ndarray, "n p"],
    true: Bool[np.ndarray, "n p"],
    known: Bool[np.ndarray, "1 p"],
    slopes: Float32[np.ndarray, "n p"],
) -> Float64[np.ndarray, " n"]:
    """Write the slopes of `dice` by errors: 1 - phi where `true`, phi elsewhere.

    Returns by how much each cost is more than the sum of slopes times errors.
    """
    rests = np.empty(len(errors))
    for row in range(len(errors)):
        number, own, squares = _sums(errors[row], true[row], known[0])
        shared, total = 2 * own + 1, squares + number + 1
        by_phi = np.float32(2 / total), np.float32(2 * shared / total**2)
        linear = _write_tangent(errors[row], true[row], known[0], *by_phi, slopes[row])
        rests[row] = 1 - shared / total - linear
    return rests


@vectorised
def _sums(
    errors: Float32[np.ndarray, " p"], true: Bool[np.ndarray, " p"], known: Bool[np.ndarray, " p"]
) -> tuple[float, float, float]:
    """Return how many pixels are true, the sum of phi over them, and that of phi^2 over all."""
    number = own = squares = 0.0
    for p in range(len(errors)):
        hit = true[p]
        phi = np.float32(1) - errors[p] if hit else errors[p]
        number += 1.0 if hit else 0.0
        own += phi if hit else np.float32(0)
        squares += phi * phi if known[p] else np.float32(0)
    return number, float(own), float(squares)


@vectorised
def _write_tangent(
    errors: Float32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    known: Bool[np.ndarray, " p"],
    inside: np.float32,
    everywhere: np.float32,
    slopes: Float32[np.ndarray, " p"],
) -> float:
    """Write the slopes by errors, `everywhere` phi - `inside` by phi; return their sum times them.

    phi falls where the error of a true pixel grows.
    """
    linear = 0.0
    for p in range(len(errors)):
        hit, error = true[p], errors[p]
        phi = np.float32(1) - error if hit else error
        slope = inside - everywhere * phi if hit else everywhere * phi
        slope = slope if known[p] else np.float32(0)
        slopes[p] = slope
        linear += slope * error
    return linear
