"""Soft masks around anchors: SPOCO, Wolny et al. 2022 (arXiv 2103.14572), its embedding-based term.

One pixel of every instance is drawn as its anchor, and the mask that a kernel around the anchor
cuts out is compared by Dice with the instance. The kernel is 1/2 at the pull margin, by which the
decoder groups, so that what is trained is what is read. Added to the discriminative loss of
De Brabandere et al. (`discriminative`); SPOCO's student and teacher for sparse labels are not here.
"""

import math
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.eager import eager
from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.foreground import BESIDE_DISTANCES
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import (
    distance_factors,
    instances,
    mean_over_instances,
    mean_over_present,
    shares,
)
from maskspace.objectives.samples import sample_instances
from maskspace.objectives.tiles import sum_over_pairs, tile_size
from maskspace.targets import Targets


def anchor_mask(
    *,
    mask: float = 1.0,
    pull_margin: float = 0.5,
    push_margin: float = 1.5,
    channels: int = 8,
    foreground: float = BESIDE_DISTANCES,
) -> Objective:
    """Return the objective: the terms of `discriminative`, and `mask` times `anchor_terms`.

    Args:
        mask: weight of the term `mask` (default 1).
        pull_margin: distance from its instance's mean up to which a pixel costs nothing; also the
            distance from an anchor where its soft mask is 1/2, and the decoder's bandwidth
            (default 0.5).
        push_margin: means cost nothing from twice this distance on (default 1.5).
        channels: numbers in the vector of a pixel, >= 1 (default 8).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 20).

    Example:
        >>> objective = anchor_mask()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    grouped = discriminative(
        pull_margin=pull_margin, push_margin=push_margin, channels=channels, foreground=foreground
    )

    def terms(outputs: Outputs, targets: Targets) -> Terms:
        costs = anchor_terms(outputs["1"], targets.labels(), margin=pull_margin)
        return {**grouped.terms(outputs, targets), "mask": mask * costs["mask"]}

    decoder = Choice(name="mean_shift", options={"bandwidth": pull_margin, "kernel": "flat"})
    return replace(grouped, terms=terms, decoder=decoder)


def anchor_terms(
    embedding: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"], *, margin: float = 0.5
) -> dict[str, Float[Tensor, ""]]:
    """Return the term `mask`: mean over instances, then over images, of a Dice loss in [0, 1].

    The soft mask of anchor a is phi(p) = 2^-(|x_p - x_a|^2 / margin^2). The loss is 1 - (2 sum_{p
    in k} phi + 1) / (sum_p phi^2 + n_k + 1) over known pixels, background included. The anchor is
    drawn uniformly from the instance's pixels, and gets a gradient too. A constant output is a
    stationary point, of value 1 - (2 n_k + 1) / (N + n_k + 1).

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> apart = 9.0 * labels[:, None].float()
        >>> round(anchor_terms(apart, labels)["mask"].item(), 4)
        0.0
        >>> constant = torch.zeros(1, 1, 1, 4)
        >>> round(anchor_terms(constant, labels)["mask"].item(), 4)  # 1 - (2 n + 1) / (N + n + 1)
        0.2857
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        return {"mask": embedding.sum() * 0.0}
    anchors = sample_instances(embedding, labels, number=1).features[:, :, 0]
    left, right = distance_factors(replace(groups, means=anchors))
    right = right * (-math.log(2) / margin**2)
    known = (labels >= 0).flatten(1)[..., None].to(left.dtype)
    own = right.transpose(1, 2).gather(1, groups.slot[..., None].expand_as(left))
    own = (left * own).sum(2).clamp(max=0).exp()
    shared = 2 * groups.counts * mean_over_instances(own, groups) + 1
    size = tile_size(groups.counts.numel(), left.device)
    total = _total_squares(left, right, known, size=size) + groups.counts + 1
    # the squares of all pairs are not kept: linear in them near where they are
    slopes = (shared / total.square()).detach() * shares(groups)
    weighted = partial(_weighted_squares, weight=slopes)
    moved = sum_over_pairs(left, right, weighted, known, size=size).sum()
    loss = mean_over_present(1 - shared / total, groups)
    return {"mask": loss + moved - moved.detach()}


@eager  # many tiles, of which a compiler would make as many pieces of code
@torch.no_grad()
def _total_squares(
    left: Float[Tensor, "b p d"],
    right: Float[Tensor, "b d n"],
    known: Float[Tensor, "b p 1"],
    *,
    size: int,
) -> Float[Tensor, "b n"]:
    """Return the sum over pixels of the squares of soft masks."""
    parts = zip(left.split(size, 1), known.split(size, 1), strict=True)
    return torch.stack([_squares(rows @ right, some).sum(1) for rows, some in parts]).sum(0)


def _squares(
    exponents: Float[Tensor, "b t n"], known: Float[Tensor, "b t 1"]
) -> Float[Tensor, "b t n"]:
    """Return the squares of soft masks in place of their exponents, 0 where nothing is known."""
    # rounding may leave a squared distance a little below 0
    return exponents.clamp_(max=0).mul_(2).exp_().mul_(known)


def _weighted_squares(
    exponents: Float[Tensor, "b t n"], known: Float[Tensor, "b t 1"], *, weight: Tensor
) -> tuple[Float[Tensor, " b"], Float[Tensor, "b t n"]]:
    """Return each image's sum of weighted squares, and its derivative by the exponents."""
    squares = _squares(exponents, known).mul_(weight[:, None])
    return squares.sum((1, 2)), squares.mul_(2)
