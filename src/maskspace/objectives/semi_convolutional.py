"""Semi-convolutional operators: Novotny et al. 2018 (arXiv 1807.10712).

A pixel's position is added to the first two channels that the network emits there, so that copies
of an object differ. All pixels of an instance are pulled to one point.

The paper only pulls, with a plain norm. Its network knows no positions, cannot undo the addition,
and so cannot collapse. Our network knows positions from its padding and its global context; for it
a constant embedding, of cost 0, is within reach. Departures:
- means are pushed apart by default, as in `discriminative`;
- the pull is a mean over instances. The paper has a sum, which would outweigh the push in an image
  of a dozen instances or more;
- the paper's other term trains the decoder of a detector: the steered kernel exp(-|x_u - x_v| / s)
  from a seed is a mask. Where exactly s enters is our choice; s is learnt, as the exponential of
  the head `scale`.
"""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import Head, Level, Queries
from maskspace.mask_losses.masks import at_least_float32, mean_over_maps
from maskspace.objectives.discriminative import push_of_means
from maskspace.objectives.foreground import (
    BESIDE_DISTANCES,
    FOREGROUND,
    foreground_head,
    foreground_term,
)
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import (
    Instances,
    cost_of_others,
    instances,
    mean_over_instances,
    mean_over_present,
    own_distance,
    shares,
)
from maskspace.objectives.samples import sample_instances

#: The head of log s: one number, the same in every image.
SCALE = "scale"
#: Below this distance over s a pixel off the seed's instance costs no more, and has no gradient.
CLOSEST = 1e-6


def semi_convolutional(
    *,
    push_weight: float = 1.0,
    push_margin: float = 1.5,
    kernel_weight: float = 1.0,
    channels: int = 8,
    unit: float = 32.0,
    foreground: float = BESIDE_DISTANCES,
) -> Objective:
    """Return the objective; see `centre_terms` and `kernel_term`.

    Args:
        push_weight: weight of the term `push`; 0 is the paper's (default 1).
        push_margin: means cost nothing from twice this distance on; also the decoder's bandwidth
            (default 1.5).
        kernel_weight: weight of the term `kernel`; 0: no head `scale` (default 1).
        channels: numbers in the vector of a pixel, >= 2 (default 8).
        unit: pixels that are 1 in the embedding, in which margins are: a new network moves pixels
            by about that (default 32).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 20).

    Example:
        >>> objective = semi_convolutional()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground', 'scale'], 'mean_shift')
    """

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = centre_terms(outputs["1"], labels, push_margin=push_margin)
        if kernel_weight > 0:
            costs["kernel"] = kernel_weight * kernel_term(
                outputs["1"], outputs[SCALE][..., None], labels
            )
        if foreground > 0:
            costs[FOREGROUND] = foreground * foreground_term(outputs, labels)
        return costs | {"push": push_weight * costs["push"]}

    heads: dict[str, Head] = {"1": Level(channels=channels, position="add", unit=unit)}
    if kernel_weight > 0:
        heads[SCALE] = Queries(number=1, start=0.0)
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    decoder = Choice(name="mean_shift", options={"bandwidth": push_margin, "kernel": "flat"})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def centre_terms(
    embedding: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"], *, push_margin: float = 1.5
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `pull` and `push`, means over images.

    - pull = mean_k (1/n_k) sum_{p in k} |x_p - mu_k|;
    - push = mean_{a != b} [2 push_margin - |mu_a - mu_b|]+^2.
    A constant output costs 0 in pull and (2 push_margin)^2 in push, and is a stationary point.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> terms = centre_terms(9.0 * labels[:, None], labels)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': 0.0}
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        return {"pull": embedding.sum() * 0.0, "push": embedding.sum() * 0.0}
    some = groups.present.any(1).to(groups.means.dtype)
    return {
        "pull": mean_over_present(mean_over_instances(own_distance(groups), groups), groups),
        "push": mean_over_maps(push_of_means(groups, 2 * push_margin), some),
    }


def kernel_term(
    embedding: Float[Tensor, "b c h w"],
    log_scale: Float[Tensor, "b 1 1 1"],
    labels: Int[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Return the cross-entropy of the kernel at a random pixel of each instance, in nats.

    It is mean_k mean_p over known pixels of -log K(p) on the instance and -log(1 - K(p)) off it,
    with K(p) = exp(-|x_p - x_seed| / s); then the mean over the images with an instance. A constant
    output costs 13.8 off the instance, and is a stationary point.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> log_scale = torch.zeros(1, 1, 1, 1)
        >>> round(kernel_term(20.0 * labels[:, None], log_scale, labels).item(), 3)
        0.0
    """
    drawn = sample_instances(embedding, labels, number=1)
    if drawn.features.shape[1] == 0:
        return (embedding.sum() + log_scale.sum()) * 0.0
    known = (labels >= 0).flatten(1)
    groups = _scaled(instances(embedding, labels), drawn.features[:, :, 0], log_scale)
    weight = shares(groups) / known.sum(1, keepdim=True).clamp(min=1)
    own = (
        own_distance(groups) * torch.where(groups.labelled, weight.gather(1, groups.slot), 0)
    ).sum()
    # -log K is the distance over s
    return own + cost_of_others(groups, partial(off_kernel, closest=CLOSEST), weight, known)


def off_kernel(
    squared: Float[Tensor, "b t n"], *, closest: float
) -> tuple[Float[Tensor, "b t n"], Float[Tensor, "b t n"]]:
    """Return -log(1 - exp(-d)) of squared distances, what is off a kernel costs, and derivatives.

    At most that at `closest`, where a gradient ends. The squared distances are overwritten.

    Example:
        >>> values, slopes = off_kernel(torch.tensor([[[0.480453]]]), closest=1e-6)
        >>> round(values.item(), 4)  # at d = log 2: -log(1 - 1/2)
        0.6931
    """
    far = F.threshold(squared.sqrt_(), closest, closest)
    inside = (-far).expm1_()  # -(1 - exp(-d))
    slopes = (1 + inside).div_(inside).div_(2 * far)
    return (-inside).log_().neg_(), slopes.mul_(far > closest)


def _scaled(
    groups: Instances, seeds: Float[Tensor, "b n c"], log_scale: Float[Tensor, "b 1 1 1"]
) -> Instances:
    """Return pixels and seeds, in place of means, from the mean pixel of an image and over s.

    Positions are far from 0; measured from their mean they are rounded less.
    """
    centre = groups.pixels.mean(1, keepdim=True).detach()
    factor = (-at_least_float32(log_scale)[:, 0]).exp()
    return replace(
        groups, pixels=(groups.pixels - centre) * factor, means=(seeds - centre) * factor
    )
