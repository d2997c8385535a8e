"""What the losses of mask logits share: known pixels, margins, means over pixels and over maps.

A loss takes logits, a truth that is 1 on the object, 0 off it and -1 where it is unknown, and
optionally the weight of each map in the mean. The weight is positional, because keyword-only
parameters are options that a parameter file may set. Half precision is summed in float32.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class MaskLoss(Protocol):
    """A mean over maps, equal or weighted; a map without a known pixel costs 0.

    Example:
        >>> def count_wrong(logits, truth, weight=None, /):
        ...     wrong = (margins(logits, truth) < 0).float()
        ...     return mean_over_maps(mean_over_known(wrong, truth >= 0), weight)
        >>> isinstance(count_wrong, MaskLoss)
        True
    """

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
    """Return half precision as float32, and anything wider as it is.

    Example:
        >>> at_least_float32(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
        >>> at_least_float32(torch.zeros(2, dtype=torch.float64)).dtype
        torch.float64
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def margins(
    logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Return how far each logit is on its right side of 0, negative on the wrong side.

    The right side is above 0 on the object and below 0 elsewhere, on unknown pixels too.

    Example:
        >>> logits = torch.tensor([[[3.0, 3.0]]])
        >>> margins(logits, torch.tensor([[[1.0, 0.0]]])).tolist()
        [[[3.0, -3.0]]]
    """
    wide = at_least_float32(logits)
    return torch.where(truth > 0.5, wide, -wide)


def probabilities(
    logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Return the probability of the object at every pixel, 0 where the truth is unknown.

    Example:
        >>> probabilities(torch.zeros(1, 1, 2), torch.tensor([[[1.0, -1.0]]])).tolist()
        [[[0.5, 0.0]]]
    """
    return torch.where(truth >= 0, at_least_float32(logits).sigmoid(), 0.0)


def mean_over_known(
    values: Float[Tensor, "b h w"], known: Bool[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Return the mean of each map over its known pixels; 0 where there is none.

    Example:
        >>> values = torch.tensor([[[1.0, 3.0, 99.0]]])
        >>> mean_over_known(values, torch.tensor([[[True, True, False]]])).tolist()
        [2.0]
    """
    return torch.where(known, values, 0.0).sum((1, 2)) / known.sum((1, 2)).clamp(min=1)


def mean_over_maps(
    values: Float[Tensor, " b"], weight: Float[Tensor, " b"] | None
) -> Float[Tensor, ""]:
    """Return the weighted mean of the maps' losses; 0 if all weights are 0.

    Args:
        values: the loss of each map.
        weight: weight of each map; None: all alike.

    Example:
        >>> losses = torch.tensor([1.0, 4.0])
        >>> mean_over_maps(losses, None).item()
        2.5
        >>> mean_over_maps(losses, torch.tensor([2.0, 1.0])).item()
        2.0
    """
    weight = torch.ones_like(values) if weight is None else weight
    tiny = torch.finfo(values.dtype).tiny
    return (values * weight).sum() / weight.sum().clamp(min=tiny)
