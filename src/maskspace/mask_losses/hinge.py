"""Hinge of every pixel: exactly 0 where all logits are on their side by a margin."""

from jaxtyping import Float
from torch import Tensor

from maskspace.mask_losses.masks import margins, mean_over_known, mean_over_maps


def hinge(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean over maps of how much each known pixel falls short of the margin.

    Args:
        logits: mask logits; the mask is where they are above 0.
        truth: 1 on the object, 0 off it, -1 where it is unknown.
        weight: weight of each map in the mean; None: all alike (default None).
        margin: absolute logit from which a right pixel costs nothing, > 0 (default 1).

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]])  # on, on, off, unknown
        >>> hinge(torch.tensor([[[1.0, 3.0, -1.0, 9.0]]]), truth).item()  # all reach the margin
        0.0
        >>> round(hinge(torch.tensor([[[0.5, 3.0, -1.0, 9.0]]]), truth).item(), 4)  # 0.5 / 3
        0.1667
    """
    short = (margin - margins(logits, truth)).clamp(min=0)
    return mean_over_maps(mean_over_known(short, truth >= 0), weight)
