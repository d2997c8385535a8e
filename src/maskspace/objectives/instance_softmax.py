"""Classification by centre: each labelled pixel picks its own instance's mean among the image's.

The separation term of UOIS-Net-3D (Xie et al. 2021, arXiv 2007.08073), with instance means in place
of object centres, logits -|x_p - mu_k|^2 / (2 bandwidth^2), and the same weight for every instance:
classification by similarity (`embeddings` family of the research notes, 16 e). For unit vectors the
logit is the cosine to the direction of the mean, over a temperature of bandwidth^2.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.objective import LEVEL_WEIGHTS, Objective, colours
from maskspace.objectives.pixels import (
    EPSILON,
    instances,
    log_totals,
    own_squared_distance,
    pixel_shares,
)

#: What likeness is: nearness in the feature space, or of directions.
SimilarityMeasure = Literal["distance", "cosine"]


def instance_softmax(
    *,
    bandwidth: float = 0.1,
    measure: SimilarityMeasure = "distance",
    channels: int = 3,
    level_weights: Mapping[str, float] = LEVEL_WEIGHTS,
) -> Objective:
    """Return the objective; see `softmax_terms`. By cosine the levels are unit vectors.

    Args:
        bandwidth: standard deviation of each instance's Gaussian; features are at most 1 apart;
            also the decoder's bandwidth (default 0.1).
        measure: "distance" of vectors in [0, 1], or "cosine" of unit vectors (default "distance").
        channels: numbers in the vector of a pixel at stride 1; a level of stride s has s^2 times as
            many (default 3, drawn as a colour).
        level_weights: stride as text, such as "4" -> weight of its level (default 1, 2 and 4 of the
            strides 1, 2 and 4: coarser levels weigh more, as they hold the whole object).

    Example:
        >>> objective = instance_softmax(measure="cosine")
        >>> sorted(objective.heads), objective.decoder.name
        (['1', '2', '4'], 'mean_shift')
    """
    terms = partial(softmax_terms, bandwidth=bandwidth, measure=measure)
    kernel = {"distance": "gaussian", "cosine": "von_mises_fisher"}[measure]
    return colours(
        terms,
        level_weights=level_weights,
        channels=channels,
        activation="sigmoid" if measure == "distance" else "unit",
        decoder=Choice(name="mean_shift", options={"bandwidth": bandwidth, "kernel": kernel}),
    )


def softmax_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    bandwidth: float = 0.1,
    measure: SimilarityMeasure = "distance",
    chunk: int | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `separation`: cross-entropy over the instances of the image, in nats.

    A constant output costs log K and is a stationary point.

    Args:
        embedding: the features; by cosine they are brought to length 1.
        labels: the label maps.
        bandwidth: standard deviation of each instance's Gaussian, in units of the features; by
            cosine the logits are cos(x_p, mu_k) / bandwidth^2, so that it is in radians where it is
            small (default 0.1).
        measure: "distance" or "cosine" (default "distance").
        chunk: logits, pixels times instances, in memory at a time (default None: as many as the
            device does best with).

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> embedding = labels[:, None].float()  # each instance at a point of its own
        >>> round(softmax_terms(embedding, labels)["separation"].item(), 3)
        0.0
        >>> constant = torch.zeros_like(embedding)
        >>> round(softmax_terms(constant, labels)["separation"].item(), 3)  # log 2
        0.693
    """
    if measure == "cosine":
        embedding = unit(embedding, dim=1)
    groups = instances(embedding, labels)
    if measure == "cosine":
        groups = replace(groups, means=unit(groups.means, dim=2))
    if groups.means.shape[1] == 0:
        return {"separation": embedding.sum() * 0.0}
    scale, weight = -1 / (2 * bandwidth**2), pixel_shares(groups)
    size = None if chunk is None else max(1, chunk // groups.counts.numel())
    total = log_totals(groups, lambda squared: (squared.mul_(scale), scale), weight, size=size)
    return {"separation": total - (weight * own_squared_distance(groups)).sum() * scale}


def unit(vectors: Float[Tensor, "*shape"], *, dim: int) -> Float[Tensor, "*shape"]:
    """Return vectors along a dimension at length 1; the gradient at 0 is finite.

    Example:
        >>> import torch
        >>> unit(torch.tensor([3.0, 4.0]), dim=0)
        tensor([0.6000, 0.8000])
    """
    wide = at_least_float32(vectors)
    return wide / (wide.square().sum(dim, keepdim=True) + EPSILON).sqrt()
