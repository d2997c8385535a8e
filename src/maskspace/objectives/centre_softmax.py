"""Offsets to centres, separated by a softmax: UOIS-Net-3D, Xie et al. 2021 (arXiv 2007.08073).

The paper works on clouds of points in metres. This is the same in the plane, with `pixels_per_unit`
pixels for a metre, without the class of the table. An object's centre is its mean pixel; in the
paper it is the middle of the object's box if its visible part surrounds that, else the mean.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import Head, Level
from maskspace.objectives.balanced import balanced_cross_entropy
from maskspace.objectives.centres import mean_pixels
from maskspace.objectives.cluster_costs import cluster_costs
from maskspace.objectives.foreground import FOREGROUND, foreground_head
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import (
    EPSILON,
    Instances,
    instances,
    log_totals,
    mean_over_instances,
    own_distance,
    pixel_shares,
)
from maskspace.objectives.positions import positions


def centre_softmax(
    *,
    tau: float = 15.0,
    sigma: float = 0.02,
    delta: float = 0.1,
    seeds: int = 50,
    steps: int = 10,
    pixels_per_unit: float = 256.0,
    offset_weight: float = 5.0,
    separation_weight: float = 1.0,
    cluster_weight: float = 1.0,
    foreground: float = 3.0,
) -> Objective:
    """Return the objective; see `centre_classification_terms`.

    A unit stands for the paper's metre. By default a crop of 256 pixels stands for its metre of
    table: a distance of 17 pixels is then a logit of -1 (`tau`), `sigma` is 5 pixels and `delta`
    26.

    Args:
        tau: factor of the distance in the softmax over centres, per unit (default 15).
        sigma: standard deviation of the Gaussian by which seeds move, in units; also the decoder's
            bandwidth (default 0.02).
        delta: distance in units from which seeds and pixels of two instances cost nothing
            (default 0.1).
        seeds: pixels of an image that move by mean shift (default 50).
        steps: steps of the mean shift (default 10).
        pixels_per_unit: pixels in a unit; take fewer for smaller crops (default 256).
        offset_weight: weight of the term `offset` (default 5).
        separation_weight: weight of the term `separation` (default 1).
        cluster_weight: weight of the term `cluster` (default 1).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 3).

    Example:
        >>> objective = centre_softmax()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    heads: dict[str, Head] = {"1": Level(channels=2, position="add", unit=pixels_per_unit)}
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    return Objective.of_label_maps(
        heads=heads,
        terms=partial(
            centre_classification_terms,
            tau=tau,
            sigma=sigma,
            delta=delta,
            seeds=seeds,
            steps=steps,
            pixels_per_unit=pixels_per_unit,
            offset_weight=offset_weight,
            separation_weight=separation_weight,
            cluster_weight=cluster_weight,
            foreground=foreground,
        ),
        decoder=Choice(name="mean_shift", options={"bandwidth": sigma}),
    )


def centre_classification_terms(
    outputs: Outputs,
    labels: Int[Tensor, "b h w"],
    *,
    tau: float = 15.0,
    sigma: float = 0.02,
    delta: float = 0.1,
    seeds: int = 50,
    steps: int = 10,
    pixels_per_unit: float = 256.0,
    offset_weight: float = 5.0,
    separation_weight: float = 1.0,
    cluster_weight: float = 1.0,
    foreground: float = 3.0,
) -> Terms:
    """Return the terms `offset`, `separation`, `cluster` and `foreground` (unless 0), weighted.

    With e the embedding in units, c_k the mean position of instance k and o = e - position:
    offset = mean over labels, the background one of them, of the mean over their pixels of the
    smooth L1 of e - c_k (of o on the background), summed over x and y;
    separation = mean_k mean_{p in k} of the cross-entropy of a softmax with logits -tau |e - c|;
    cluster: see `cluster_costs`; foreground = cross-entropy, both classes weighing the same.
    Means over the images that have what they are of. Embeddings all at one point are not
    stationary: the centres are the truth's.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> there = mean_pixels(labels)[0, labels[0] - 1].permute(2, 0, 1)[None].float()
        >>> outputs = {"1": there / 4}  # every pixel at its instance's mean, in units
        >>> options = {"pixels_per_unit": 4.0, "foreground": 0.0}
        >>> terms = centre_classification_terms(outputs, labels, **options)
        >>> round(terms["offset"].item(), 4), round(terms["cluster"].item(), 4)
        (0.0, 0.0)
    """
    groups = instances(outputs["1"], labels)
    means = mean_pixels(labels).to(groups.means) / pixels_per_unit
    centred = Instances(groups.pixels, groups.slot, groups.labelled, means, groups.counts)
    terms = {"offset": offset_weight * _offset(centred, labels, pixels_per_unit)}
    if groups.counts.numel():
        cost = cluster_costs(groups, sigma=sigma, delta=delta, seeds=seeds, steps=steps)
        number = groups.present.any(1).sum().clamp(min=1)
        terms["separation"] = separation_weight * _separation(centred, tau)
        terms["cluster"] = cluster_weight * cost.sum() / number
    else:
        terms["separation"] = terms["cluster"] = groups.pixels.sum() * 0.0
    if foreground > 0:
        flat = labels.flatten(1)
        logits = outputs[FOREGROUND].flatten(1)
        terms["foreground"] = foreground * balanced_cross_entropy(logits, flat > 0, flat >= 0)
    return terms


def _offset(centred: Instances, labels: Int[Tensor, "b h w"], unit: float) -> Float[Tensor, ""]:
    place = (positions(labels) / unit).to(centred.pixels).flatten(2).transpose(1, 2)
    rest = labels.flatten(1) == 0
    target = place
    if centred.counts.numel():
        own = torch.gather(centred.means, 1, centred.slot[..., None].expand_as(place))
        target = torch.where(centred.labelled[..., None], own, place)
    cost = F.smooth_l1_loss(centred.pixels, target, reduction="none").sum(-1)
    on_rest = torch.where(rest, cost, 0.0).sum(1) / rest.sum(1).clamp(min=1)
    on_objects = torch.zeros_like(on_rest)
    if centred.counts.numel():
        on_objects = mean_over_instances(cost, centred).sum(1)
    number = centred.present.sum(1) + rest.any(1)
    per_image = (on_rest + on_objects) / number.clamp(min=1)
    return per_image.sum() / (number > 0).sum().clamp(min=1)


def _separation(centred: Instances, tau: float) -> Float[Tensor, ""]:
    weight = pixel_shares(centred)

    def logits(squared: Float[Tensor, "b t n"]) -> tuple[Tensor, Tensor]:
        distance = F.threshold(squared, EPSILON, EPSILON).sqrt_()
        slope = torch.ops.aten.threshold_backward(-tau / 2 / distance, squared, EPSILON)
        return distance.mul_(-tau), slope

    total = log_totals(centred, logits, weight)
    return total + tau * (weight * own_distance(centred)).sum()
