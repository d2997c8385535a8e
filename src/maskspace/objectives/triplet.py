"""Triplet hinge: a pixel is nearer to its own instance than to any other, by a margin.

Variant 16 c of the research notes, on distances that are not squared: from single pixels drawn at
random, with no mining, or from the instances' means. Of the colour family. Pixels outside all
instances take no part.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.mask_losses.masks import mean_over_maps
from maskspace.objectives.objective import LEVEL_WEIGHTS, Objective, colours
from maskspace.objectives.pixels import (
    EPSILON,
    instances,
    mean_over_instances,
    mean_over_present,
    nearest_others,
    own_distance,
)
from maskspace.objectives.samples import Samples, sample_instances


def triplet(
    *,
    against: Literal["pixel", "prototype"] = "prototype",
    margin: float = 0.3,
    samples: int = 16,
    channels: int = 3,
    level_weights: Mapping[str, float] = LEVEL_WEIGHTS,
) -> Objective:
    """Return the objective; see `prototype_terms` and `pixel_terms`.

    Args:
        against: what distances are measured from: "prototype" (means of instances) or "pixel"
            (pixels drawn at random) (default "prototype").
        margin: least difference of the two distances that costs nothing; half of it is the
            decoder's bandwidth. The sources give none; features are at most 1 apart, and `balls`
            ends at about this value too (default 0.3).
        samples: with "pixel": triplets drawn for each instance (default 16).
        channels: numbers in the vector of a pixel at stride 1; a level of stride s has s^2 times as
            many (default 3, drawn as a colour).
        level_weights: stride as text, such as "4" -> weight of its level (default 1, 2 and 4 of the
            strides 1, 2 and 4: coarser levels weigh more, as they hold the whole object).

    Example:
        >>> objective = triplet()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', '2', '4'], 'mean_shift')
    """
    terms = (
        partial(prototype_terms, margin=margin)
        if against == "prototype"
        else partial(pixel_terms, margin=margin, samples=samples)
    )
    decoder = Choice(name="mean_shift", options={"bandwidth": margin / 2})
    return colours(terms, level_weights=level_weights, channels=channels, decoder=decoder)


def prototype_terms(
    embedding: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"], *, margin: float = 0.3
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `triplet`: mean_k mean_{p in k} [|x_p - mu_k| - min_j |x_p - mu_j| + m]+.

    j is any other instance of the image; an image with one instance costs 0. A constant output
    costs the margin and is a stationary point.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> round(prototype_terms(labels[:, None].float(), labels)["triplet"].item(), 3)
        0.0
        >>> round(prototype_terms(torch.zeros(1, 1, 1, 4), labels)["triplet"].item(), 3)  # margin
        0.3
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        return {"triplet": embedding.sum() * 0.0}
    nearest = own_distance(replace(groups, slot=nearest_others(groups)))
    cost = (own_distance(groups) - nearest + margin).clamp(min=0)
    cost = torch.where(groups.present.sum(1, keepdim=True) > 1, cost, 0.0)
    return {"triplet": mean_over_present(mean_over_instances(cost, groups), groups)}


def pixel_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    margin: float = 0.3,
    samples: int = 16,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `triplet`: the mean of [|x_p - x_q| - |x_p - x_r| + m]+ over drawn triplets.

    An instance has as many triplets as samples: p is each of its samples, q a random other one of
    them, r a sample of a random other instance of the image. An image with one instance costs 0. A
    constant output costs the margin and is a stationary point.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> round(pixel_terms(labels[:, None].float(), labels)["triplet"].item(), 3)
        0.0
        >>> round(pixel_terms(torch.zeros(1, 1, 1, 4), labels)["triplet"].item(), 3)  # margin
        0.3
    """
    drawn = sample_instances(embedding, labels, number=samples)
    if drawn.features.shape[1] == 0:
        return {"triplet": embedding.sum() * 0.0}
    same, foreign = _partners(drawn)
    near, far = _distance(drawn.features, same), _distance(drawn.features, foreign)
    number = drawn.present.sum(1)
    cost = (near - far + margin).clamp(min=0).mean(2) * drawn.present  # b n
    # an only instance has nothing foreign
    each = torch.where(number > 1, cost.sum(1) / number.clamp(min=1), 0.0)
    return {"triplet": mean_over_maps(each, (number > 0).to(each.dtype))}


def _distance(
    one: Float[Tensor, "b n s c"], other: Float[Tensor, "b n s c"]
) -> Float[Tensor, "b n s"]:
    return ((one - other).square().sum(-1) + EPSILON).sqrt()


def _partners(drawn: Samples) -> tuple[Float[Tensor, "b n s c"], Float[Tensor, "b n s c"]]:
    """Return for every sample another one of its instance, and one of another of its image."""
    _, columns, samples = drawn.pixel.shape
    number = drawn.present.sum(1)[:, None, None].clamp(min=1)
    column = torch.arange(columns, device=number.device)[:, None]
    sample = torch.arange(samples, device=number.device)
    chance = torch.rand(3, *drawn.pixel.shape, dtype=torch.float64).to(number.device)
    # a step of at least 1 and less than how many there are leads to any of the others
    next_sample = (sample + 1 + (chance[0] * (samples - 1)).long()) % samples
    next_column = (column + 1 + (chance[1] * (number - 1)).long()) % number
    near = _at(drawn, column.expand_as(next_sample), next_sample)
    return near, _at(drawn, next_column, (chance[2] * samples).long())


def _at(
    drawn: Samples, column: Int[Tensor, "b n s"], sample: Int[Tensor, "b n s"]
) -> Float[Tensor, "b n s c"]:
    """Return the features of the samples of these instances."""
    flat = drawn.features.flatten(1, 2)
    index = (column * drawn.pixel.shape[2] + sample).flatten(1)[..., None]
    return flat.gather(1, index.expand(-1, -1, flat.shape[2])).view_as(drawn.features)
