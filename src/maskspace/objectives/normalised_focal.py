"""Normalised focal loss: Sofiiuk et al. 2019 (arXiv 1909.07829), eq. 5, with SegNext's constants.

Computed from log-sigmoids, so that a pixel that is wrong by any margin keeps its gradient.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from maskspace.objectives.masks import margins, mean_over_known, mean_over_maps

#: Added to the sum of the weights: a mask without any error is amplified this far and no further.
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

    `alpha` weighs the object and 1 - `alpha` the rest; `max_focus` bounds the normalised weight of
    a pixel. The normaliser is a constant for the gradient unless `normaliser_gradient`. A perfect
    prediction gives about 1e-6, not 0.
    """
    known, margin = truth >= 0, margins(logits, truth)
    surprise = -F.logsigmoid(margin)
    # log sigmoid(-m) = log sigmoid(m) - m
    # an unknown pixel is one without error, which SegNext counts in the normaliser at gamma 0
    focus = torch.where(known, torch.exp(-gamma * (surprise + margin)), 0.0**gamma)
    scale = known.sum((1, 2)) / (focus.sum((1, 2)) + EPSILON)
    focus = focus * (scale if normaliser_gradient else scale.detach())[:, None, None]
    if max_focus is not None:
        focus = focus.clamp(max=max_focus)
    balance = torch.where(truth > 0.5, alpha, 1 - alpha)
    return mean_over_maps(mean_over_known(balance * focus * surprise, known), weight)
