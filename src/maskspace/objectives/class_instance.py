"""Pixels to prototypes by cosine: CIAE, Gao et al. 2021 (arXiv 2009.13342), without its detector.

The paper pulls a pixel's vector towards that of its detection, or of its class of stuff, and pushes
it from the others by a triplet-like loss of cosines; we do not know its constants. Here the
prototypes of an image are the mean directions of its instances and of its background, the only
stuff that there is without classes. Pixels are classified among the prototypes; a triplet's hinge
is optional.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Head, Level
from maskspace.objectives.foreground import foreground_head, foreground_term
from maskspace.objectives.instance_softmax import softmax_terms, unit
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import instances, mean_over_instances, mean_over_present


def class_instance(
    *,
    temperature: float = 0.1,
    triplet: float = 0.0,
    margin: float = 0.2,
    channels: int = 8,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective: `class_instance_terms`, and `foreground` times that of the mask.

    The mask says at test time which of the groups are background.

    Args:
        temperature: divides the cosines in the softmax, > 0; its root is the decoder's bandwidth
            (default 0.1).
        triplet: weight of the term `triplet`; 0: no such term (default 0).
        margin: difference of cosines from which the term `triplet` costs nothing (default 0.2).
        channels: numbers in the vector of a pixel, >= 1 (default 8).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = class_instance()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    similar = partial(class_instance_terms, temperature=temperature, triplet=triplet, margin=margin)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = similar(outputs["1"], labels)
        if foreground:
            costs["foreground"] = foreground * foreground_term(outputs, labels)
        return costs

    heads: dict[str, Head] = {"1": Level(channels=channels, activation="unit")}
    if foreground:
        heads["foreground"] = foreground_head()
    # exp(cos / temperature) is the kernel whose concentration is the softmax's
    options = {"bandwidth": temperature**0.5, "kernel": "von_mises_fisher"}
    return Objective.of_label_maps(
        heads=heads, terms=terms, decoder=Choice(name="mean_shift", options=options)
    )


def class_instance_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    temperature: float = 0.1,
    triplet: float = 0.0,
    margin: float = 0.2,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `similarity`, and `triplet` if its weight is above 0.

    - similarity = mean_k mean_{p in k} -log softmax_k(cos(x_p, mu_k) / temperature), in nats, over
      the instances and the background, if there is one;
    - triplet = `triplet` times
      mean_k mean_{p in k} [margin + max_{j != k} cos(x_p, mu_j) - cos(x_p, mu_k)]+.
    Images without an instance take no part. A constant output is a stationary point, of value log K
    with K prototypes.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> axes = torch.stack([labels == 1, labels == 2], 1).float()  # instances at a right angle
        >>> round(class_instance_terms(axes, labels)["similarity"].item(), 3)
        0.0
        >>> same = torch.ones(1, 2, 1, 4)
        >>> round(class_instance_terms(same, labels)["similarity"].item(), 3)  # log 2
        0.693
    """
    # as one more instance the background is a prototype, unless there is nothing to tell it from
    some = (labels > 0).flatten(1).any(1)[:, None, None]
    prototypes = torch.where(some, labels.clamp(min=-1) + 1, 0)
    terms = {
        "similarity": softmax_terms(
            embedding, prototypes, bandwidth=temperature**0.5, measure="cosine"
        )["separation"]
    }
    if triplet:
        terms["triplet"] = triplet * _hinge(embedding, prototypes, margin=margin)
    return terms


def _hinge(
    embedding: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"], *, margin: float
) -> Float[Tensor, ""]:
    """Return how far the own prototype falls short of the likest other by the margin."""
    groups = instances(unit(embedding, dim=1), labels)
    if groups.means.shape[1] < 2:
        return embedding.sum() * 0.0
    cosine = groups.pixels @ unit(groups.means, dim=2).transpose(1, 2)  # b p n
    own = cosine.gather(2, groups.slot[..., None])
    others = cosine.masked_fill(~groups.present[:, None], -torch.inf)
    others = others.scatter(2, groups.slot[..., None], -torch.inf).amax(2)
    short = torch.where(others.isfinite(), margin + others - own[..., 0], 0.0).clamp(min=0)
    return mean_over_present(mean_over_instances(short, groups), groups)
