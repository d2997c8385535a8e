"""Lovász losses of instances: 1 - IoU of each, of Gaussians around the means of an embedding.

Berman et al. 2018 (arXiv 1705.08790) on the kernels of Neven et al. 2019 (arXiv 1906.11109), all
with the same fixed bandwidth and in feature space: `spatial_embedding` without positions and learnt
bandwidths. The form "hinge" compares each instance with all known pixels; its Gaussian phi is cut
at 1/2. The form "softmax" compares the instances of an image with each other, without the
background.
"""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Head, Level
from maskspace.kernels.takes import kernels_take
from maskspace.mask_losses.lovasz import jaccard_extension
from maskspace.objectives.foreground import foreground_head, foreground_term
from maskspace.objectives.gaussian_maps import gaussian_costs
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import distance_factors, instances, shares
from maskspace.objectives.tiles import sum_over_tiles

#: `hinge` is the Lovász hinge of 2 phi - 1; `softmax` is Lovász-Softmax of phi / sum of all phi.
InstanceForm = Literal["hinge", "softmax"]


def lovasz_instances(
    *,
    form: InstanceForm = "hinge",
    bandwidth: float = 0.5,
    channels: int = 8,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective: `lovasz_terms`, and `foreground` times that of the mask.

    Args:
        form: "hinge" compares each instance with all known pixels; "softmax" compares the instances
            of an image with each other, without the background (default "hinge").
        bandwidth: standard deviation of each instance's Gaussian; also the decoder's bandwidth
            (default 0.5).
        channels: numbers in the vector of a pixel, >= 1 (default 8).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = lovasz_instances()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    overlap = partial(lovasz_terms, form=form, bandwidth=bandwidth)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = overlap(outputs["1"], labels)
        if foreground:
            costs["foreground"] = foreground * foreground_term(outputs, labels)
        return costs

    heads: dict[str, Head] = {"1": Level(channels=channels)}
    if foreground:
        heads["foreground"] = foreground_head()
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def lovasz_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    form: InstanceForm = "hinge",
    bandwidth: float = 0.5,
    chunk: int = 4,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `overlap`: a mean over instances, then images; at most 2 (softmax: 1).

    phi_k(p) = exp(-|x_p - mu_k|^2 / (2 bandwidth^2)); the hinge's margin is 1/2 of phi, at a
    distance of 1.18 bandwidths. Of nested masks, labels are one level: others would be each other's
    outside. Memory is that of sorting `chunk` instances of an image. A constant output is a
    stationary point, of 2 (1 - n_k / N) for the hinge.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> round(lovasz_terms(9.0 * labels[:, None], labels)["overlap"].item(), 3)
        0.0
        >>> round(lovasz_terms(torch.zeros(1, 1, 1, 4), labels)["overlap"].item(), 3)  # 2 (1 - 1/2)
        1.0
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        return {"overlap": embedding.sum() * 0.0}
    if form == "hinge" and kernels_take(groups.pixels):
        sharpness = torch.full_like(groups.means, 0.5 / bandwidth**2)
        known = (labels >= 0).flatten(1)
        maps = (groups, groups.means, sharpness, known, shares(groups))
        losses = gaussian_costs(*maps, chunk=chunk)
        return {"overlap": losses.sum()}
    left, right = distance_factors(groups)
    right = right * (-0.5 / bandwidth**2)
    known = labels >= 0 if form == "hinge" else labels > 0
    truth = torch.where(groups.labelled, groups.slot, right.shape[2])
    truth = torch.where(known.flatten(1), truth, -1)
    # the hinge of 2 phi - 1 errs by 2 (1 - phi) inside and by 2 phi outside
    weight = shares(groups) * (2.0 if form == "hinge" else 1.0)
    if form == "softmax":  # exponents from the logarithm of their sum
        absent = torch.zeros_like(groups.counts).masked_fill(~groups.present, -1e9)
        total = torch.baddbmm(absent[:, None], left, right).logsumexp(2)
        left = torch.cat([left, total[..., None]], 2)
        right = torch.cat([right, torch.full_like(right[:, :1], -1.0)], 1)
    column = torch.arange(right.shape[2], device=truth.device).expand(len(truth), -1)
    right = right.transpose(1, 2)
    # an image at a time, of which more instances are then taken at once
    images = zip(*(x.split(1) for x in (right, weight, column, left, truth)), strict=True)
    losses = [sum_over_tiles(_overlap, image[:3], image[3:], size=chunk) for image in images]
    return {"overlap": torch.cat(losses).sum()}


def _overlap(
    right: Float[Tensor, "b n d"],
    weight: Float[Tensor, "b n"],
    column: Int[Tensor, "b n"],
    left: Float[Tensor, "b p d"],
    truth: Int[Tensor, "b p"],
) -> Float[Tensor, " b"]:
    """Return the weighted Lovász extensions at the errors of exp(left . right) as `column`s."""
    # rounding may leave a squared distance a little below 0
    phi = (right @ left.transpose(1, 2)).clamp(max=0).exp()  # b n p
    true = truth[:, None] == column[..., None]
    maps = (torch.where(true, 1 - phi, phi), true, (truth >= 0)[:, None].expand_as(true))
    losses = jaccard_extension(*(x.flatten(0, 1)[:, None] for x in maps))
    return (losses.view_as(weight) * weight).sum(1)
