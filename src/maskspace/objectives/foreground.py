"""The foreground: a head that says where instances are, for methods that group only that part.

Alone it is an objective too, the plain peer of all others: connected components of the
foreground.
"""

from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap
from maskspace.mask_losses.masks import at_least_float32, mean_over_known
from maskspace.objectives.objective import Objective
from maskspace.targets import labels_at

FOREGROUND = "foreground"
#: Its weight beside terms of distances in an embedding, which move the outputs a hundred times as
#: much: with 1 the student learns no foreground of real nuclei in 400 steps, with this it does.
BESIDE_DISTANCES = 20.0


def foreground() -> Objective:
    """Return the objective of this term alone, decoded as connected components.

    Example:
        >>> foreground().decoder.name
        'components'
    """
    return Objective.of_label_maps(
        heads={FOREGROUND: foreground_head()},
        terms=lambda outputs, labels: {FOREGROUND: foreground_term(outputs, labels)},
        decoder=Choice(name="components", options={}),
    )


def foreground_head(*, stride: int = 1) -> DenseMap:
    """Return the head: one logit a cell.

    Example:
        >>> foreground_head(stride=4).stride
        4
    """
    return DenseMap(channels=1, stride=stride)


def foreground_term(
    outputs: Mapping[str, Tensor], labels: Int[Tensor, "b h w"], *, stride: int = 1
) -> Float[Tensor, ""]:
    """Return the cross-entropy of instance against background: mean over known cells, then images.

    Images of which nothing is known take no part; 0 if all are such.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[1, 2, 0, -1]]])  # the last pixel is unknown
        >>> right = torch.tensor([[[[20.0, 20.0, -20.0, 20.0]]]])
        >>> round(foreground_term({"foreground": right}, labels).item(), 4)
        0.0
    """
    cells = labels_at(labels, stride)
    known = cells >= 0
    logits = at_least_float32(outputs[FOREGROUND][:, 0])
    true = (cells > 0).to(logits.dtype)
    cost = F.binary_cross_entropy_with_logits(logits, true, reduction="none")
    some = known.flatten(1).any(1)
    return mean_over_known(cost, known).sum() / some.sum().clamp(min=1)
