"""Recurrent pixel embedding: Kong and Fowlkes 2018 (arXiv 1712.08273).

A hinge on the cosine of pairs of unit vectors is asked of the embedding, and again after each of a
few steps of blurring mean shift. Gradients flow through these steps, so that the pairs which mean
shift groups wrongly weigh most. Choices:
- gradients are those of the linear hinge as the paper writes it; the authors' demo propagates other
  gradients than those of its forward pass;
- the concentration is the paper's: 1 / bandwidth^2 with bandwidth (1 - alpha) / 3;
- pixels without a known label are not drawn;
- the background is one of the labels, as in the paper; so a head of the foreground tells the
  decoder which cluster it is.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

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
from maskspace.objectives.samples import features_at, sample_pixels
from maskspace.targets import labels_at


def recurrent_grouping(
    *,
    alpha: float = 0.5,
    push_weight: float = 1.0,
    bandwidth: float | None = None,
    loops: int = 5,
    samples: int = 512,
    channels: int = 64,
    stride: int = 4,
    foreground: float = BESIDE_DISTANCES,
) -> Objective:
    """Return the objective; see `grouping_terms`.

    Args:
        alpha: similarity (1 + cosine) / 2 below which pairs of two labels cost nothing, in [0, 1)
            (default 0.5).
        push_weight: weight of the term `push` (default 1; 5 in the authors' PASCAL demo).
        bandwidth: of mean shift in cosine space; None: (1 - alpha) / 3, as in the paper
            (default None).
        loops: steps of mean shift (default 5).
        samples: cells drawn from an image (default 512, an eighth of a crop of 256 pixels at stride
            4; the paper draws a tenth to a third).
        channels: numbers in the vector of a pixel, >= 1 (default 64).
        stride: pixels in the side of a cell of the embedding (default 4).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 20).

    Example:
        >>> objective = recurrent_grouping()
        >>> sorted(objective.heads), objective.decoder.name
        (['4', 'foreground'], 'mean_shift')
    """
    width = (1 - alpha) / 3 if bandwidth is None else bandwidth
    grouped = partial(
        grouping_terms,
        alpha=alpha,
        push_weight=push_weight,
        bandwidth=width,
        loops=loops,
        samples=samples,
    )

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = grouped(outputs[str(stride)], labels_at(labels, stride))
        if foreground > 0:
            costs[FOREGROUND] = foreground * foreground_term(outputs, labels, stride=stride)
        return costs

    heads: dict[str, Head] = {
        level_name(stride): Level(channels=channels, stride=stride, activation="unit")
    }
    if foreground > 0:
        heads[FOREGROUND] = foreground_head(stride=stride)
    options = {"bandwidth": width, "kernel": "von_mises_fisher"}
    return Objective.of_label_maps(
        heads=heads, terms=terms, decoder=Choice(name="mean_shift", options=options)
    )


def grouping_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    alpha: float = 0.5,
    push_weight: float = 1.0,
    bandwidth: float = 1 / 6,
    loops: int = 5,
    samples: int = 512,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `pull` and `push`: `cosine_hinge` summed over the embedding and the loops.

    At most as many samples are drawn as an image has cells. Means over images; an image without an
    instance takes no part.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> opposite = torch.stack([labels * 2.0 - 3, labels * 0.0], 1)  # unit vectors, -x and +x
        >>> terms = grouping_terms(opposite, labels, loops=1)
        >>> {name: round(abs(value.item()), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': 0.0}
    """
    known = labels >= 0
    pixel = sample_pixels(known, number=min(samples, known[0].numel()))
    label = torch.where(known.flatten(1).any(1)[:, None], labels.flatten(1).gather(1, pixel), 0)
    points = F.normalize(features_at(embedding, pixel), dim=2)
    some = (labels > 0).flatten(1).any(1).to(points.dtype)
    weights = _pair_weights(label, points.dtype)
    pulls, pushes = [], []
    for loop in range(loops + 1):
        cosine = points @ points.transpose(1, 2)
        pull, push = _hinge(cosine, *weights, alpha)
        pulls.append(mean_over_maps(pull, some))
        pushes.append(mean_over_maps(push, some))
        if loop < loops:
            points = _moved(points, cosine, bandwidth)
    return {"pull": torch.stack(pulls).sum(), "push": push_weight * torch.stack(pushes).sum()}


def cosine_hinge(
    points: Float[Tensor, "b s c"], label: Int[Tensor, "b s"], *, alpha: float = 0.5
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Return sum_ij W_ij (1 - s_ij) over pairs of one label, W_ij [s_ij - alpha]+ over others.

    s_ij = (1 + x_i.x_j) / 2 for unit vectors. W_ij = 1 / (n_i n_j) over the sum of all, where n is
    the number of points of a label. With K labels a constant output costs (1 - alpha) (1 - 1/K) in
    push, and is a stationary point, as a cosine is flat at 1. An `alpha` of 1/2 can be met exactly
    by up to twice as many labels as channels.

    Example:
        >>> points = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
        >>> pull, push = cosine_hinge(points, torch.tensor([[1, 2]]))  # two labels at one point
        >>> round(pull.item(), 3), round(push.item(), 3)  # (1 - alpha) (1 - 1/2)
        (0.0, 0.25)
    """
    cosine = points @ points.transpose(1, 2)
    return _hinge(cosine, *_pair_weights(label, points.dtype), alpha)


def blur(points: Float[Tensor, "b s c"], *, bandwidth: float) -> Float[Tensor, "b s c"]:
    """Return each unit vector moved to the mean of all, weighted by von Mises-Fisher kernels.

    One step of blurring mean shift, weights exp((x_i.x_j - 1) / bandwidth^2), then length 1.

    Example:
        >>> points = F.normalize(torch.tensor([[[1.0, 0.1], [1.0, -0.1]]]), dim=2)
        >>> blur(points, bandwidth=0.5)[0, :, 1].abs().max().item() < 0.1  # they come closer
        True
    """
    return _moved(points, points @ points.transpose(1, 2), bandwidth)


def _moved(
    points: Float[Tensor, "b s c"], cosine: Float[Tensor, "b s s"], bandwidth: float
) -> Float[Tensor, "b s c"]:
    # of a softmax the constant in the exponent is no part
    return F.normalize((cosine / bandwidth**2).softmax(dim=2) @ points, dim=2)


def _pair_weights(
    label: Int[Tensor, "b s"], kind: torch.dtype
) -> tuple[Float[Tensor, "b s s"], Float[Tensor, "b s s"]]:
    """Return half of W of the pairs of one label, and half of that of two, each 0 elsewhere."""
    same = label[:, :, None] == label[:, None]
    share = 1 / same.sum(2).to(kind)  # 1 / n_i, of which a label's points sum to 1
    weight = share[:, :, None] * share[:, None]
    weight = weight / weight.sum((1, 2), keepdim=True) / 2
    return weight * same, weight * ~same


def _hinge(
    cosine: Float[Tensor, "b s s"],
    pulled: Float[Tensor, "b s s"],
    pushed: Float[Tensor, "b s s"],
    alpha: float,
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    # s - alpha is half of what the cosine has more than 2 alpha - 1
    pull, push = pulled * (1 - cosine), pushed * (cosine - (2 * alpha - 1)).clamp(min=0)
    return pull.sum((1, 2)), push.sum((1, 2))
