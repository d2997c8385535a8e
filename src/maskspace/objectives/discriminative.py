"""Discriminative loss: De Brabandere, Neven, Van Gool 2017 (arXiv 1708.02551).

Three terms: pixels lie within a margin of their instance's mean, means are apart by twice another
margin, and means are near 0. The embedding is not bounded. Limits:
- the push acts on means alone: an instance in a ring around another one's mean costs nothing as
  long as their means are apart;
- a network that does not know positions cannot tell copies of an object apart.
Published implementations normalise differently (`convention`). They skip instances of one pixel,
which count here. The paper's 8 channels suit the student too: at full resolution it can emit that
many independent ones.
"""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Head, Level, level_name
from maskspace.mask_losses.masks import mean_over_maps
from maskspace.objectives.foreground import (
    BESIDE_DISTANCES,
    FOREGROUND,
    foreground_head,
    foreground_term,
)
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import (
    EPSILON,
    Instances,
    cost_of_others,
    instances,
    mean_over_instances,
    mean_over_present,
    own_distance,
    shares,
)
from maskspace.targets import labels_at

Convention = Literal["paper", "authors", "pixels"]


def discriminative(
    *,
    pull_margin: float = 0.5,
    push_margin: float = 1.5,
    pull_weight: float = 1.0,
    push_weight: float = 1.0,
    norm_weight: float = 0.001,
    background_push: float = 0.0,
    convention: Convention = "paper",
    channels: int = 8,
    stride: int = 1,
    foreground: float = BESIDE_DISTANCES,
) -> Objective:
    """Return the objective; see `discriminative_terms`.

    The decoder is the authors': flat mean shift of bandwidth `push_margin`.

    Args:
        pull_margin: distance from its instance's mean up to which a pixel costs nothing
            (default 0.5).
        push_margin: means cost nothing from twice this distance on; also the decoder's bandwidth
            (default 1.5).
        pull_weight: weight of the term `pull` (default 1).
        push_weight: weight of the term `push` (default 1).
        norm_weight: weight of the term `norm` (default 0.001).
        background_push: weight of the term `background`; 0: no such term (default 0).
        convention: how sums are normalised: "paper", "authors" (their Lua code) or "pixels" (a much
            used port) (default "paper").
        channels: numbers in the vector of a pixel, >= 1 (default 8).
        stride: pixels in the side of a cell of the embedding (default 1).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 20). The
            paper takes the foreground as given.

    Example:
        >>> objective = discriminative()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    weights = {"pull": pull_weight, "push": push_weight, "norm": norm_weight}
    weights |= {"background": background_push}
    measured = partial(
        discriminative_terms,
        pull_margin=pull_margin,
        push_margin=push_margin,
        background=background_push > 0,
        convention=convention,
    )

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = measured(outputs[str(stride)], labels_at(labels, stride))
        weighted = {name: weights[name] * value for name, value in costs.items()}
        if foreground > 0:
            weighted[FOREGROUND] = foreground * foreground_term(outputs, labels, stride=stride)
        return weighted

    heads: dict[str, Head] = {level_name(stride): Level(channels=channels, stride=stride)}
    if foreground > 0:
        heads[FOREGROUND] = foreground_head(stride=stride)
    decoder = Choice(name="mean_shift", options={"bandwidth": push_margin, "kernel": "flat"})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def discriminative_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    pull_margin: float = 0.5,
    push_margin: float = 1.5,
    background: bool = False,
    convention: Convention = "paper",
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `pull`, `push`, `norm` and, if asked, `background`; means over images.

    - pull = (1/K) sum_k (1/n_k) sum_{p in k} [|x_p - mu_k| - pull_margin]+^2;
    - push = 1/(K(K-1)) sum_{a != b} [2 push_margin - |mu_a - mu_b|]+^2; 0 with fewer than 2
      instances;
    - norm = (1/K) sum_k |mu_k|;
    - background = (1/K) sum_k mean_{p of label 0} [push_margin - |x_p - mu_k|]+^2 (SPOCO). With the
      convention "authors" (their Lua code), pull is summed over instances, push is over unordered
      pairs and divided by K - 1, and norm is 0. With "pixels" (a much used port), pull is the mean
      over all pixels of instances. A constant output costs (2 push_margin)^2 of push and is a
      stationary point.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> terms = discriminative_terms(9.0 * labels[:, None], labels)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': 0.0, 'norm': 13.5}
        >>> constant = torch.zeros(1, 1, 1, 4)
        >>> round(discriminative_terms(constant, labels)["push"].item(), 3)  # (2 * 1.5)^2
        9.0
    """
    groups = instances(embedding, labels)
    if groups.means.shape[1] == 0:
        names = ["pull", "push", "norm"] + ["background"] * background
        return {name: embedding.sum() * 0.0 for name in names}
    some = groups.present.any(1).to(groups.means.dtype)
    hinge = (own_distance(groups) - pull_margin).clamp(min=0).square()
    pull, push = mean_over_instances(hinge, groups), push_of_means(groups, 2 * push_margin)
    norm = (groups.means.square().sum(-1) + EPSILON).sqrt()
    if convention == "authors":
        number = groups.present.sum(1, keepdim=True)
        pull, push, norm = pull * number, push * number[:, 0] / 2, norm * 0
    elif convention == "pixels":
        # a mean over instances that each weigh as their pixels
        number = groups.present.sum(1, keepdim=True)
        pull = pull * groups.counts * number / groups.counts.sum(1, keepdim=True).clamp(min=1)
    terms = {
        "pull": mean_over_present(pull, groups),
        "push": mean_over_maps(push, some),
        "norm": mean_over_present(norm, groups),
    }
    if background:
        terms["background"] = _intrusion(groups, labels, push_margin)
    return terms


def push_of_means(groups: Instances, reach: float) -> Float[Tensor, " b"]:
    """Return each image's mean over ordered pairs of [reach - |mu_a - mu_b|]+^2; 0 of no pair.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> groups = instances(torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]]), labels)
        >>> round(push_of_means(groups, 3.0).item(), 3)  # (3 - 1)^2
        4.0
    """
    apart = groups.means[:, :, None] - groups.means[:, None]  # b n n c
    short = (reach - (apart.square().sum(-1) + EPSILON).sqrt()).clamp(min=0).square()
    pairs = (groups.present[:, :, None] & groups.present[:, None]).triu(diagonal=1)
    return torch.where(pairs, short, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def _intrusion(groups: Instances, labels: Int[Tensor, "b h w"], margin: float) -> Float[Tensor, ""]:
    """Return how far the background is inside the margin around each mean, squared; its mean."""
    outside = (labels == 0).flatten(1)
    weight = shares(groups) / outside.sum(1, keepdim=True).clamp(min=1)

    def cost(squared: Float[Tensor, "b t n"]) -> tuple[Tensor, Tensor]:
        distance = squared.sqrt_()
        short = (margin - distance).relu_()
        return short.square(), -short / distance

    return cost_of_others(groups, cost, weight, outside)
