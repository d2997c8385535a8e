"""Push and pull to the centroid without a hinge: the simplest form, kept because it collapses.

Variant 16 a of the research notes. Its output becomes constant, for reasons that its remedies take
up:
- a constant makes the pull of every image 0, and biases alone can reach it; the push has another
  direction in every image and averages out;
- where all means coincide the push has no direction at all. So a constant is a stationary point
  with any weights (the gradient of a norm at 0 is taken as 0);
- for pixels that look the same, the best that a network can predict is one mean;
- outputs are bounded, as they must be here, and a large push drives them into a corner, where they
  saturate;
- neither force ever switches off: only their ratio decides whether an image is pulled together.
Of the colour family: without bounds the push has no minimum.
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


def plain(
    *,
    pull_weight: float = 1.0,
    bandwidth: float = 0.15,
    channels: int = 3,
    level_weights: Mapping[str, float] = LEVEL_WEIGHTS,
) -> Objective:
    """Return the objective; see `plain_terms`.

    Args:
        pull_weight: weight of the term `pull`; that of `push` is 1 (default 1).
        bandwidth: the decoder's; features are at most 1 apart. No margin gives one: it is that of
            `balls` (default 0.15).
        channels: numbers in the vector of a pixel at stride 1; a level of stride s has s^2 times as
            many (default 3, drawn as a colour).
        level_weights: stride as text, such as "4" -> weight of its level (default 1, 2 and 4 of the
            strides 1, 2 and 4: coarser levels weigh more, as they hold the whole object).

    Example:
        >>> objective = plain()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', '2', '4'], 'mean_shift')
    """
    terms = partial(plain_terms, pull_weight=pull_weight)
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth})
    return colours(terms, level_weights=level_weights, channels=channels, decoder=decoder)


def plain_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    pull_weight: float = 1.0,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `pull` and `push`, each a mean over instances, then over images.

    - pull = mean_k mean_{p in k} |x_p - mu_k| times `pull_weight`;
    - push = -mean_k mean_{p not in k} |x_p - mu_k|, over all other pixels, also of the background
      and of no known label; 0 for an instance that is the whole image. A constant output costs 0 in
      both and is a stationary point.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> embedding = labels[:, None].float()  # each instance at a point of its own
        >>> terms = plain_terms(embedding, labels)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': -1.0}
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        return {"pull": embedding.sum() * 0.0, "push": embedding.sum() * 0.0}
    pull = mean_over_instances(own_distance(groups), groups)
    others = (groups.pixels.shape[1] - groups.counts).clamp(min=1)
    push = cost_of_others(groups, LineCost(0.0, 1.0), shares(groups) / others)
    return {
        "pull": pull_weight * mean_over_present(pull, groups),
        "push": -push,
    }
