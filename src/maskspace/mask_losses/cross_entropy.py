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
    """Return the mean over maps of -log p(truth) per known pixel, in nats."""
    surprise = -F.logsigmoid(margins(logits, truth))
    return mean_over_maps(mean_over_known(surprise, truth >= 0), weight)
