"""Cross-entropy of two classes that weigh the same in an image, however rare one of them is."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from maskspace.mask_losses.masks import at_least_float32


def balanced_cross_entropy(
    logits: Float[Tensor, "b p"], truth: Bool[Tensor, "b p"], known: Bool[Tensor, "b p"]
) -> Float[Tensor, ""]:
    """Return the mean over images of the mean over their classes of the mean cost, in nats.

    A class that an image does not have takes no part; an image without a known pixel takes no part.
    The result is 0 if no image takes part. A logit of 0 everywhere costs log 2.

    Example:
        >>> truth = torch.tensor([[True, False, False, False]])  # one pixel of four
        >>> cost = balanced_cross_entropy(torch.full((1, 4), -9.0), truth, torch.ones_like(truth))
        >>> round(cost.item(), 2)  # half of the 9 that the rare class costs
        4.5
    """
    wide = at_least_float32(logits)
    cost = F.binary_cross_entropy_with_logits(wide, truth.to(wide.dtype), reduction="none")
    members = torch.stack([known & truth, known & ~truth], 1)  # b 2 p
    number = members.sum(2)
    each = torch.where(members, cost[:, None], 0.0).sum(2) / number.clamp(min=1)
    classes = (number > 0).sum(1)
    return (each.sum(1) / classes.clamp(min=1)).sum() / (classes > 0).sum().clamp(min=1)
