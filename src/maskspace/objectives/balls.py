"""Push-pull balls: pixels lie in a ball around their instance's mean, all others outside it.

The simplest hinge on distances to means (`embeddings` family of the research notes, 16 b). Pixels
that belong to no instance are pushed too. Of the colour family.
"""

from collections.abc import Mapping
from functools import partial

from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.objectives.objective import LEVEL_WEIGHTS, Objective, colours
from maskspace.objectives.pixels import (
    LineCost,
    cost_of_others,
    instances,
    mean_over_instances,
    mean_over_present,
    own_distance,
    shares,
)


def balls(
    *,
    radius: float = 0.1,
    push_ratio: float = 3.0,
    pull_weight: float = 1.0,
    channels: int = 3,
    level_weights: Mapping[str, float] = LEVEL_WEIGHTS,
) -> Objective:
    """Return the objective; see `ball_terms`.

    Args:
        radius: distance from its instance's mean up to which a pixel costs nothing; features are at
            most 1 apart; it is also the decoder's bandwidth (default 0.1).
        push_ratio: pixels of anything else cost nothing from this many radii on, > 1 (default 3).
        pull_weight: weight of the term `pull`; that of `push` is 1 (default 1).
        channels: numbers in the vector of a pixel at stride 1; a level of stride s has s^2 times as
            many (default 3, drawn as a colour).
        level_weights: stride as text, such as "4" -> weight of its level (default 1, 2 and 4 of the
            strides 1, 2 and 4: coarser levels weigh more, as they hold the whole object).

    Example:
        >>> objective = balls()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', '2', '4'], 'mean_shift')
    """
    terms = partial(ball_terms, radius=radius, push_ratio=push_ratio, pull_weight=pull_weight)
    decoder = Choice(name="mean_shift", options={"bandwidth": radius})
    return colours(terms, level_weights=level_weights, channels=channels, decoder=decoder)


def ball_terms(
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

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> embedding = labels[:, None].float()  # each instance at a point of its own
        >>> terms = ball_terms(embedding, labels)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': 0.0}
        >>> terms = ball_terms(torch.zeros_like(embedding), labels)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': 0.3}
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        return {"pull": embedding.sum() * 0.0, "push": embedding.sum() * 0.0}
    near = own_distance(groups)
    pull = mean_over_instances((near - radius).clamp(min=0), groups)
    reach = push_ratio * radius
    others = (groups.pixels.shape[1] - groups.counts).clamp(min=1)
    push = cost_of_others(groups, LineCost(reach, -1.0, reach), shares(groups) / others)
    return {
        "pull": pull_weight * mean_over_present(pull, groups),
        "push": push,
    }
