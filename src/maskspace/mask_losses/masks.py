"""What the losses of mask logits share: known pixels, margins, means over pixels and over maps.

A loss takes logits, a truth that is 1 on the object, 0 off it and -1 where it is unknown, and
optionally the weight of each map in the mean. Weights are positional, because what is keyword-only
is an option that a parameter file may set. Half precision is summed in float32.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class MaskLoss(Protocol):
    """A mean over maps, equal or weighted; a map without a known pixel costs 0."""

    def __call__(
        self,
        logits: Float[Tensor, "b h w"],
        truth: Float[Tensor, "b h w"],
        weight: Float[Tensor, " b"] | None = None,
        /,
    ) -> Float[Tensor, ""]:
        """Return the (weighted) mean over the maps."""
        ...


def at_least_float32(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return half precision as float32, and anything wider as it is."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def margins(
    logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Return how far every logit is on the right side of 0; unknown pixels count as off."""
    wide = at_least_float32(logits)
    return torch.where(truth > 0.5, wide, -wide)


def probabilities(
    logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Return the probability of the object at every pixel, 0 where the truth is unknown."""
    return torch.where(truth >= 0, at_least_float32(logits).sigmoid(), 0.0)


def mean_over_known(
    values: Float[Tensor, "b h w"], known: Bool[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Return the mean of each map over its known pixels; 0 where there is none."""
    return torch.where(known, values, 0.0).sum((1, 2)) / known.sum((1, 2)).clamp(min=1)


def mean_over_maps(
    values: Float[Tensor, " b"], weight: Float[Tensor, " b"] | None
) -> Float[Tensor, ""]:
    """Return the weighted mean of the maps' losses, of equal weight without one; 0 of no weight."""
    weight = torch.ones_like(values) if weight is None else weight
    tiny = torch.finfo(values.dtype).tiny
    return (values * weight).sum() / weight.sum().clamp(min=tiny)
