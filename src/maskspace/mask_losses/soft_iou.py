"""Soft IoU loss: Rahman and Wang 2016 (ISVC, "Optimizing Intersection-over-Union").

One pixel is added to the intersection and to the union, so that two empty masks agree.
"""

from jaxtyping import Float
from torch import Tensor

from maskspace.mask_losses.masks import mean_over_maps, probabilities


def soft_iou(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Return 1 - soft intersection over union, one pixel added to both; in [0, 1].

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]])  # on, on, off, unknown
        >>> round(soft_iou(20 * (2 * truth - 1), truth).item(), 4)  # a sure and right mask
        0.0
        >>> round(soft_iou(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).item(), 4)  # 1 - 3 / 5
        0.4
    """
    probability, true = probabilities(logits, truth), truth.clamp(min=0)
    shared = (probability * true).sum((1, 2))
    union = (probability + true).sum((1, 2)) - shared
    return mean_over_maps(1 - (shared + 1) / (union + 1), weight)
