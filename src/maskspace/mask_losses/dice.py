"""Dice loss: V-Net, Milletari et al. 2016 (arXiv 1606.04797), with squares in the denominator.

The paper maximises the coefficient; here 1 minus it is minimised. One pixel is added to numerator
and denominator, so that two empty masks agree.
"""

from jaxtyping import Float
from torch import Tensor

from maskspace.mask_losses.masks import mean_over_maps, probabilities


def dice(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Return 1 - (2 sum p t + 1) / (sum p^2 + sum t^2 + 1); in [0, 1].

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]])  # on, on, off, unknown
        >>> round(dice(20 * (2 * truth - 1), truth).item(), 4)  # a sure and right mask
        0.0
        >>> round(dice(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).item(), 4)  # p = 1/2: 1 - 5 / 6
        0.1667
    """
    probability, true = probabilities(logits, truth), truth.clamp(min=0)
    shared = (probability * true).sum((1, 2))
    total = (probability.square() + true).sum((1, 2))  # a truth of 0 or 1 is its own square
    return mean_over_maps(1 - (2 * shared + 1) / (total + 1), weight)
