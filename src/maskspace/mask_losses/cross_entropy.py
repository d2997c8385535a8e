"""Cross-entropy of every pixel: the likelihood of the mask, each map the mean of its pixels."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from maskspace.mask_losses.masks import margins, mean_over_known, mean_over_maps


def cross_entropy(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over maps of -log p(truth) per known pixel, in nats.

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]])  # on, on, off, unknown
        >>> round(cross_entropy(torch.zeros(1, 1, 4), truth).item(), 4)  # undecided: log 2
        0.6931
        >>> cross_entropy(9 * (2 * truth - 1), truth).item() < 0.001
        True
    """
    surprise = -F.logsigmoid(margins(logits, truth))
    return mean_over_maps(mean_over_known(surprise, truth >= 0), weight)
