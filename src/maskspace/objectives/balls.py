"""Push-pull balls: pixels inside a ball around their instance's mean, all others outside it.

The simplest hinge on distances to means; pixels that belong to no instance are pushed too.
Distances are root mean squares over channels (see `pixels.py`).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.objectives.pixels import (
    EPSILON,
    instances,
    mean_over_instances,
    mean_over_present,
    own_distance,
    squared_distances,
)


def balls(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    radius: float = 0.1,
    push_ratio: float = 3.0,
    pull_weight: float = 1.0,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `pull` and `push`, each a mean over instances, then over images.

    pull = mean_k mean_{p in k} [|x_p - mu_k| - radius]+ times `pull_weight`;
    push = mean_k mean_{p not in k} [push_ratio * radius - |x_p - mu_k|]+.
    A constant output is a stationary point: its pull is 0 and its push has no direction.
    """
    found = instances(embedding, labels)
    if found.means.shape[1] == 0:
        return {"pull": embedding.sum() * 0.0, "push": embedding.sum() * 0.0}
    pull = mean_over_instances((own_distance(found) - radius).clamp(min=0), found)
    distance = (squared_distances(found) + EPSILON).sqrt()  # b p n
    own = torch.nn.functional.one_hot(found.slot, distance.shape[-1]) * found.labelled[..., None]
    outside = 1 - own
    shortfall = (push_ratio * radius - distance).clamp(min=0) * outside
    push = shortfall.sum(1) / outside.sum(1).clamp(min=1)
    return {
        "pull": pull_weight * mean_over_present(pull, found),
        "push": mean_over_present(push, found),
    }
