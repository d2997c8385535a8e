"""Losses between a map of mask logits and a true mask: what the clicker minimises.

Normalised focal loss: Sofiiuk et al. 2019 (arXiv 1909.07829), eq. 5, with SegNext's constants. Soft
IoU: Rahman and Wang 2016.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def normalised_focal(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    *,
    alpha: float = 0.5,
    gamma: float = 2.0,
) -> Float[Tensor, ""]:
    """Return the focal loss whose weights sum to the number of valid pixels in each mask.

    `truth` is 1 on the object, 0 off it, -1 where it is unknown. The normaliser is a constant for
    the gradient. A perfect prediction gives about 1e-6, not 0.
    """
    epsilon = 1e-12
    logits, valid = logits.float(), truth >= 0
    agreement = torch.where(valid, 1 - (truth - logits.sigmoid()).abs(), 1.0)
    weight = (1 - agreement) ** gamma
    count = valid.sum((1, 2))
    weight = weight * (count / (weight.detach().sum((1, 2)) + epsilon))[:, None, None]
    balance = torch.where(truth > 0.5, alpha, 1 - alpha) * valid
    loss = -balance * weight * torch.log((agreement + epsilon).clamp(max=1))
    return (loss.sum((1, 2)) / (count + epsilon)).mean()


def soft_iou(logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """Return 1 - soft intersection over union, one pixel added to both; in [0, 1]."""
    valid = (truth >= 0).float()
    probability = logits.float().sigmoid() * valid
    true = truth.clamp(min=0) * valid
    shared = (probability * true).sum((1, 2))
    union = (probability + true).sum((1, 2)) - shared
    return (1 - (shared + 1) / (union + 1)).mean()
