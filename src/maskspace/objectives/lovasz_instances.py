"""Lovász losses of instances: 1 - IoU of each, of Gaussians around the means of an embedding.

Berman et al. 2018 (arXiv 1705.08790) on the kernels of Neven et al. 2019 (arXiv 1906.11109), all of
one fixed bandwidth and in the feature space: what `spatial_embedding` is without positions and
learnt bandwidths. `hinge`: each instance against everything that is known, its Gaussian phi cut at
1/2. `softmax`: the instances of an image against each other, background out of it.
"""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskspace.config import Choice
from maskspace.objectives.foreground import foreground_head, foreground_term
from maskspace.objectives.lovasz import lovasz_softmax
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import distance_factors, instances, mean_over_present
from maskspace.types import Head

#: `hinge` is the Lovász hinge of 2 phi - 1; `softmax` is Lovász-Softmax of phi / sum of all phi.
Form = Literal["hinge", "softmax"]


def lovasz_instances(
    *,
    form: Form = "hinge",
    bandwidth: float = 0.5,
    channels: int = 8,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective: `lovasz_terms`, and `foreground` times that of the mask."""
    overlap = partial(lovasz_terms, form=form, bandwidth=bandwidth)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        found = overlap(outputs["1"], labels)
        if foreground:
            found["foreground"] = foreground * foreground_term(outputs, labels)
        return found

    heads = {"1": Head(channels=channels)}
    if foreground:
        heads["foreground"] = foreground_head()
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth})
    return Objective(heads=heads, terms=terms, decoder=decoder)


def lovasz_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    form: Form = "hinge",
    bandwidth: float = 0.5,
    chunk: int = 2,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `overlap`: a mean over instances, then images; at most 2 (softmax: 1).

    phi_k(p) = exp(-|x_p - mu_k|^2 / (2 bandwidth^2)); the hinge's margin is 1/2 of phi, at a
    distance of 1.18 bandwidths. Of nested masks, labels are one level: others would be each other's
    outside. Memory is that of sorting `chunk` instances an image. A constant output is a
    stationary point, of 2 (1 - n_k / N) for the hinge.
    """
    found = instances(embedding, labels)
    if found.means.shape[1] == 0:
        return {"overlap": embedding.sum() * 0.0}
    left, right = distance_factors(found)
    right = right * (-0.5 / bandwidth**2)
    known = labels >= 0 if form == "hinge" else labels > 0
    number = right.shape[2]
    # a class that is in no chunk is outside of all instances
    truth = torch.where(found.labelled, found.slot, number).view_as(labels)
    if form == "softmax":
        absent = torch.zeros_like(found.counts).masked_fill(~found.present, -1e9)
        total = torch.baddbmm(absent[:, None], left, right).logsumexp(2)
    else:
        total = left.new_zeros(left.shape[:2])
    truth = torch.where(known, truth, -1)
    losses = [
        checkpoint(
            _overlaps,
            left,
            right[:, :, first : first + chunk],
            total,
            truth,
            first,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for first in range(0, number, chunk)
    ]
    # the hinge of 2 phi - 1 errs by 2 (1 - phi) inside and by 2 phi outside
    scale = 2.0 if form == "hinge" else 1.0
    return {"overlap": scale * mean_over_present(torch.cat(losses, 1), found)}


def _overlaps(
    left: Float[Tensor, "b p d"],
    right: Float[Tensor, "b d n"],
    total: Float[Tensor, "b p"],
    truth: Int[Tensor, "b h w"],
    first: int,
) -> Float[Tensor, "b n"]:
    """Return the Lovász extension at the errors of exp(left @ right - total) for each instance.

    The instances of `right` are number `first` of `truth` and those after it.
    """
    number = right.shape[2]
    # others' pixels are known and outside
    here = torch.where((truth >= first) & (truth < first + number), truth - first, number)
    here = torch.where(truth >= 0, here, -1)
    exponent = right.transpose(1, 2) @ left.transpose(1, 2) - total[:, None]  # b n p
    # rounding may leave a squared distance a little below 0
    return lovasz_softmax(exponent.clamp(max=0).exp().unflatten(2, truth.shape[1:]), here)
