"""Votes for centres: directions of UOIS-Net, Xie et al. 2019 (arXiv 1907.13236).

Each pixel of an object says in which direction the object's centre lies. A Hough vote finds the
points where the directions meet. The paper tells background, table and objects apart; here there is
no table. The network does not say distances, so that only the reach of a vote separates centres
that lie in line.
"""

from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import DenseMap
from maskspace.mask_losses.masks import at_least_float32, mean_over_known
from maskspace.objectives.balanced import balanced_cross_entropy
from maskspace.objectives.centres import mean_pixels, towards
from maskspace.objectives.foreground import FOREGROUND, foreground_head
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import instances, mean_over_instances, mean_over_present


def centre_votes(*, background_weight: float = 0.1, foreground: float = 1.0) -> Objective:
    """Return the objective; see `vote_terms`.

    Args:
        background_weight: weight of the term `background` (default 0.1).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = centre_votes()
        >>> sorted(objective.heads), objective.decoder.name
        (['direction', 'foreground'], 'centre_votes')
    """
    heads = {"direction": DenseMap(channels=2, activation="unit")}
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    return Objective.of_label_maps(
        heads=heads,
        terms=partial(vote_terms, background_weight=background_weight, foreground=foreground),
        decoder=Choice(name="centre_votes", options={}),
    )


def vote_terms(
    outputs: Outputs,
    labels: Int[Tensor, "b h w"],
    *,
    background_weight: float = 0.1,
    foreground: float = 1.0,
) -> Terms:
    """Return the terms `direction`, `background` and, unless its weight is 0, `foreground`.

    u is the head `direction` (x and y of a unit vector), v the unit vector to the mean of the
    instance's pixels.
    - direction = mean_k mean_{p in k} (1 - u.v) / 2, over the pixels that are not at the mean;
    - background = `background_weight` times the mean over the background of (1 - u.(0, 1)) / 2: the
      background points straight down;
    - foreground = cross-entropy in nats; both classes weigh the same.
    The first two are in [0, 1] before weights. Means are over the images that have such pixels. A
    constant output costs 1/2 where directions cancel out, and is not stationary.

    Example:
        >>> labels = torch.tensor([[[1, 1, 1, 0]]])
        >>> outputs = {"direction": towards(labels, mean_pixels(labels))}
        >>> vote_terms(outputs, labels, foreground=0.0)["direction"].item()
        0.0
    """
    unit = at_least_float32(outputs["direction"])
    truth = towards(labels, mean_pixels(labels)).to(unit)
    # a pixel at its centre has no direction: not labelled, so that it is not counted
    votes = torch.where(truth.square().sum(1) > 0, labels, 0)
    groups = instances(unit, votes)
    cost = ((1 - (unit * truth).sum(1)) / 2).flatten(1)
    each = mean_over_instances(cost, groups) if groups.counts.numel() else groups.counts
    rest = labels == 0
    down = mean_over_known((1 - unit[:, 1]) / 2, rest)
    number = rest.flatten(1).any(1).sum().clamp(min=1)
    terms = {
        "direction": mean_over_present(each, groups),
        "background": background_weight * down.sum() / number,
    }
    if foreground > 0:
        flat = labels.flatten(1)
        logits = outputs[FOREGROUND].flatten(1)
        terms["foreground"] = foreground * balanced_cross_entropy(logits, flat > 0, flat >= 0)
    return terms
