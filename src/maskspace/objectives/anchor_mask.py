"""Soft masks around anchors: SPOCO, Wolny et al. 2022 (arXiv 2103.14572), its embedding-based term.

One pixel of every instance is drawn as its anchor, and the mask that a kernel around the anchor
cuts out is compared by Dice with the instance. The kernel is 1/2 at the pull margin, by which the
decoder groups, so that what is trained is what is read. Added to the discriminative loss of
De Brabandere et al. (`discriminative`); SPOCO's student and teacher for sparse labels are not here.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskspace.config import Choice
from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.foreground import BESIDE_DISTANCES
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import distance_factors, instances, mean_over_present
from maskspace.objectives.samples import sample_instances


def anchor_mask(
    *,
    mask: float = 1.0,
    pull_margin: float = 0.5,
    push_margin: float = 1.5,
    channels: int = 8,
    foreground: float = BESIDE_DISTANCES,
) -> Objective:
    """Return the objective: the terms of `discriminative`, and `mask` times `anchor_terms`."""
    grouped = discriminative(
        pull_margin=pull_margin, push_margin=push_margin, channels=channels, foreground=foreground
    )

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        found = anchor_terms(outputs["1"], labels, margin=pull_margin)
        return {**grouped.terms(outputs, labels), "mask": mask * found["mask"]}

    decoder = Choice(name="mean_shift", options={"bandwidth": pull_margin, "kernel": "flat"})
    return replace(grouped, terms=terms, decoder=decoder)


def anchor_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    margin: float = 0.5,
    chunk: int = 8,
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `mask`: mean over instances, then images, of a Dice loss in [0, 1].

    Of anchor a the soft mask is phi(p) = 2^-(|x_p - x_a|^2 / margin^2) and the loss
    1 - (2 sum_{p in k} phi + 1) / (sum_p phi^2 + n_k + 1) over known pixels, background too.
    The anchor is an equal draw among the instance's pixels, and takes part in the gradient.
    Memory is that of `chunk` masks an image. A constant output is a stationary point, of
    1 - (2 n_k + 1) / (N + n_k + 1).
    """
    found = instances(embedding, labels)
    if found.means.shape[1] == 0:
        return {"mask": embedding.sum() * 0.0}
    anchors = sample_instances(embedding, labels, number=1).features[:, :, 0]
    left, right = distance_factors(replace(found, means=anchors))
    known = (labels >= 0).flatten(1)
    slot = torch.where(found.labelled, found.slot, -1)
    losses = [
        checkpoint(
            _soft_dice,
            left,
            right[:, :, first : first + chunk] * (-math.log(2) / margin**2),
            slot,
            first,
            known,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for first in range(0, right.shape[2], chunk)
    ]
    return {"mask": mean_over_present(torch.cat(losses, 1), found)}


def _soft_dice(
    left: Float[Tensor, "b p d"],
    right: Float[Tensor, "b d n"],
    slot: Int[Tensor, "b p"],
    first: int,
    known: Bool[Tensor, "b p"],
) -> Float[Tensor, "b n"]:
    """Return the Dice losses of soft masks exp(left @ right), of slot `first` and those after."""
    number, slot = right.shape[2], slot - first
    # rounding may leave a squared distance a little below 0
    soft = (right.transpose(1, 2) @ left.transpose(1, 2)).clamp(max=0).exp()  # b n p
    inside = (slot >= 0) & (slot < number)
    column = slot.clamp(0, number - 1)
    own = torch.where(inside, soft.gather(1, column[:, None])[:, 0], 0.0)
    shared = torch.zeros_like(right[:, 0]).scatter_add(1, column, own)
    size = torch.zeros_like(right[:, 0]).scatter_add(1, column, inside.to(right.dtype))
    total = (soft.square() @ known[..., None].to(soft.dtype))[..., 0] + size
    return 1 - (2 * shared + 1) / (total + 1)
