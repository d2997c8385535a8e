"""Sequential grouping: where one instance ends and the next begins, along rows and columns.

After SGN (Liu et al. 2017, ICCV). Its two later networks group the line segments between
breakpoints, with details that the paper does not state. This is its first step at its plainest:
whether there is a break between each pixel and the one to its right, and the one below. Neighbours
without a break are grouped by their union, not by a network.
"""

from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import DenseMap
from maskspace.objectives.balanced import balanced_cross_entropy
from maskspace.objectives.foreground import FOREGROUND, foreground_head, foreground_term
from maskspace.objectives.objective import Objective, Outputs, Terms


def sequential_grouping(*, foreground: float = 1.0) -> Objective:
    """Return the objective; see `break_terms`.

    Args:
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = sequential_grouping()
        >>> sorted(objective.heads), objective.decoder.name
        (['affinity', 'foreground'], 'components')
    """
    heads = {"affinity": DenseMap(channels=2)}
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    return Objective.of_label_maps(
        heads=heads,
        terms=partial(break_terms, foreground=foreground),
        decoder=Choice(name="components", options={}),
    )


def break_terms(
    outputs: Outputs, labels: Int[Tensor, "b h w"], *, foreground: float = 1.0
) -> Terms:
    """Return the terms `breaks` and, unless its weight is 0, `foreground`, weighted.

    The head `affinity` holds the logit of a break between a pixel and its neighbour, to the right
    in channel 0, below in channel 1; above 0 their labels differ. breaks is its cross-entropy over
    both directions together. Pairs with and without a break weigh the same in an image; the paper
    weighs classes too, and does not say how. Pairs with an unlabelled pixel are unknown; two pixels
    of background have no break. A constant output costs log 2 at best; the gradient then vanishes
    in sum, but not at each pixel.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> right = torch.tensor([-20.0, 20.0, -20.0, 0.0])  # a break behind pixel 1
        >>> outputs = {"affinity": right.expand(1, 2, 1, 4)}
        >>> round(break_terms(outputs, labels, foreground=0.0)["breaks"].item(), 4)
        0.0
    """
    logits = outputs["affinity"]
    parts = []
    for channel, (here, there) in enumerate(
        (
            (labels[:, :, :-1], labels[:, :, 1:]),
            (labels[:, :-1], labels[:, 1:]),
        )
    ):
        shown = logits[:, channel, : here.shape[1], : here.shape[2]]
        known = (here >= 0) & (there >= 0)
        parts.append([x.flatten(1) for x in (shown, here != there, known)])
    joined = [torch.cat(pieces, 1) for pieces in zip(*parts, strict=True)]
    costs = {"breaks": balanced_cross_entropy(*joined)}
    if foreground > 0:
        costs["foreground"] = foreground * foreground_term(outputs, labels)
    return costs
