"""Where instances are at all: the term of the head `foreground`, of what groups only that."""

from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.objectives.masks import at_least_float32, mean_over_known
from maskspace.objectives.pixels import labels_at
from maskspace.types import Head

FOREGROUND = "foreground"


def foreground_head(*, stride: int = 1) -> Head:
    """Return the head: one logit a cell."""
    return Head(channels=1, stride=stride)


def foreground_term(
    outputs: Mapping[str, Tensor], labels: Int[Tensor, "b h w"], *, stride: int = 1
) -> Float[Tensor, ""]:
    """Return the cross-entropy of instance against background: mean over known cells, then images.

    Images of which nothing is known take no part; 0 if all are such.
    """
    cells = labels_at(labels, stride)
    known = cells >= 0
    logits = at_least_float32(outputs[FOREGROUND][:, 0])
    cost = F.binary_cross_entropy_with_logits(
        logits, (cells > 0).to(logits.dtype), reduction="none"
    )
    some = known.flatten(1).any(1)
    return mean_over_known(cost, known).sum() / some.sum().clamp(min=1)
