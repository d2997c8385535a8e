"""Normalised focal loss: Sofiiuk et al. 2019 (arXiv 1909.07829), eq. 5, with SegNext's constants.

Probabilities are rounded as SegNext rounds them, so that recorded losses come out the same: in
float32 a pixel that is wrong by a logit of 17 or more costs 27.6 and has no gradient.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from maskspace.mask_losses.masks import mean_over_known, mean_over_maps, probabilities

#: Added to the sum of the weights and to the probability of the truth: both may be 0.
EPSILON = 1e-12


def normalised_focal(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
    *,
    alpha: float = 0.5,
    gamma: float = 2.0,
    max_focus: float | None = None,
    normaliser_gradient: bool = False,
) -> Float[Tensor, ""]:
    """Return the focal loss whose weights sum to the number of known pixels in each map.

    A perfect prediction gives about 1e-6, not 0.

    Args:
        logits: mask logits; the mask is where they are above 0.
        truth: 1 on the object, 0 off it, -1 where it is unknown.
        weight: weight of each map in the mean; None: all alike (default None).
        alpha: weight of pixels on the object, in [0, 1]; the others weigh 1 - `alpha`
            (default 0.5).
        gamma: power of a pixel's error in its weight, >= 0 (default 2).
        max_focus: the largest normalised weight of a pixel; None: no bound (default None).
        normaliser_gradient: whether gradients flow through the normaliser (default False: it is a
            constant).

    Example:
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]])  # on, on, off, unknown
        >>> normalised_focal(20 * (2 * truth - 1), truth).item() < 1e-5
        True
        >>> round(normalised_focal(torch.zeros(1, 1, 4), truth).item(), 4)  # alpha * log 2
        0.3466
    """
    known = truth >= 0
    wrong = (truth.clamp(min=0) - probabilities(logits, truth)).abs()
    # the power of an error of exactly 0 has no finite slope for gamma below 1
    focus = wrong.clamp(min=torch.finfo(wrong.dtype).tiny) ** gamma
    scale = known.sum((1, 2)) / (focus.sum((1, 2)) + EPSILON)
    focus = focus * (scale if normaliser_gradient else scale.detach())[:, None, None]
    if max_focus is not None:
        focus = focus.clamp(max=max_focus)
    surprise = -torch.log((1 - wrong + EPSILON).clamp(max=1))
    balance = torch.where(truth > 0.5, alpha, 1 - alpha)
    return mean_over_maps(mean_over_known(balance * focus * surprise, known), weight)
