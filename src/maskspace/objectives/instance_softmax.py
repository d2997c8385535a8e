"""Classification by centre: each labelled pixel picks its own instance's mean among its image's.

The separation term of UOIS-Net-3D (Xie et al. 2021, arXiv 2007.08073), with instance means in place
of object centres, logits -|x_p - mu_k|^2 / (2 bandwidth^2), and every instance of equal weight.
"""

from collections.abc import Mapping
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.objectives.objective import LEVEL_WEIGHTS, Objective, colours
from maskspace.objectives.pixels import (
    distance_factors,
    instances,
    mean_over_instances,
    mean_over_present,
    own_squared_distance,
)


def instance_softmax(
    *,
    bandwidth: float = 0.1,
    channels: int = 3,
    level_weights: Mapping[str, float] = LEVEL_WEIGHTS,
) -> Objective:
    """Return the objective; see `softmax_terms`."""
    terms = partial(softmax_terms, bandwidth=bandwidth)
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth})
    return colours(terms, level_weights=level_weights, channels=channels, decoder=decoder)


def softmax_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    bandwidth: float = 0.1,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `separation`: cross-entropy over the instances of the image.

    `bandwidth` is the standard deviation of each instance's Gaussian, in units of the features.
    A constant output gives log K and is a stationary point.
    """
    found = instances(embedding, labels)
    if found.means.shape[1] == 0:
        return {"separation": embedding.sum() * 0.0}
    scale = -1 / (2 * bandwidth**2)
    # an absent instance is infinitely far; an image without any takes no part in the mean
    absent = torch.zeros_like(found.counts).masked_fill(~found.present, -1e9)
    total = torch.logsumexp(
        torch.baddbmm(absent[:, None], *distance_factors(found), alpha=scale), 2
    )
    own = own_squared_distance(found) * scale
    cost = torch.where(found.labelled, total - own, 0.0)
    return {"separation": mean_over_present(mean_over_instances(cost, found), found)}
