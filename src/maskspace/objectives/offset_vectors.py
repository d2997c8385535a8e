"""Learnt places to look at: OVeNet, Alexandropoulos et al. 2023 (arXiv 2303.14516).

Each pixel points by an offset to a place where its instance is easier to tell. A confidence F says
how much of its own answer is replaced by the answer at that place. There are no classes here. The
paper fuses class scores; instances have none, so that here embeddings are sampled and fused, and
classification by instance means (`instance_softmax`) replaces the classes' cross-entropy. Weights
are the paper's. Its auxiliary head and its refinement of offsets are left out.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap, Level
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.foreground import foreground_head, foreground_term
from maskspace.objectives.instance_softmax import softmax_terms
from maskspace.objectives.objective import Objective, Outputs, Terms

#: What the classification of each embedding weighs.
OWN, SAMPLED, FUSED = 0.5, 0.5, 1.0
#: Below this a probability costs no more: half precision may say exactly 0 or 1.
LEAST = 1e-6


def offset_vectors(
    *,
    bandwidth: float = 0.5,
    reach: float = 0.2,
    confidence: float = 1.0,
    channels: int = 8,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective: `offset_terms`, and `foreground` times that of the mask.

    The decoder reads the fused embedding, as the outputs have `offset` and `confidence`.

    Args:
        bandwidth: standard deviation of each instance's Gaussian; also the decoder's bandwidth
            (default 0.5).
        reach: the largest offset in x and in y, in half sides of the map (default 0.2).
        confidence: weight of the term `confidence` (default 1).
        channels: numbers in the vector of a pixel, >= 1 (default 8).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = offset_vectors()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'confidence', 'foreground', 'offset'], 'mean_shift')
    """
    classify = partial(offset_terms, bandwidth=bandwidth, confidence_weight=confidence)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = classify(outputs["1"], outputs["offset"], outputs["confidence"], labels)
        if foreground:
            costs["foreground"] = foreground * foreground_term(outputs, labels)
        return costs

    heads = {
        "1": Level(channels=channels),
        "offset": DenseMap(channels=2, activation="tanh", scale=reach),
        "confidence": DenseMap(channels=1, activation="sigmoid"),
    }
    if foreground:
        heads["foreground"] = foreground_head()
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def offset_terms(
    embedding: Float[Tensor, "b c h w"],
    offset: Float[Tensor, "b 2 h w"],
    confidence: Float[Tensor, "b 1 h w"],
    labels: Int[Tensor, "b h w"],
    *,
    bandwidth: float = 0.5,
    confidence_weight: float = 1.0,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `own`, `sampled`, `fused` and `confidence`, weighted.

    x_s(p) = x(p + o(p)) is sampled bilinearly, and x_f = (1 - F) x + F x_s. The first three terms
    are 0.5, 0.5 and 1 times `softmax_terms` of x, x_s and x_f. `confidence` is the cross-entropy of
    F: is the label of the pixel nearest to p + o that of p? It is taken over pixels where both
    labels are known (background is a label like another), and is a mean over pixels, then over the
    images with an instance; the paper's code sums the batch. It has no gradient for the offset. A
    constant embedding is a stationary point of the first three terms.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> embedding, still = 9.0 * labels[:, None], torch.zeros(1, 2, 1, 4)
        >>> terms = offset_terms(embedding, still, torch.ones(1, 1, 1, 4), labels)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'own': 0.0, 'sampled': 0.0, 'fused': 0.0, 'confidence': 0.0}
    """
    wide, offset, confidence = (at_least_float32(x) for x in (embedding, offset, confidence))
    place = _sites(offset)
    target = F.grid_sample(wide, place, padding_mode="border", align_corners=False)
    terms = {
        name: weight * softmax_terms(x, labels, bandwidth=bandwidth)["separation"]
        for name, weight, x in (
            ("own", OWN, wide),
            ("sampled", SAMPLED, target),
            ("fused", FUSED, torch.lerp(wide, target, confidence)),
        )
    }
    sampled_label = _nearest(labels, place)
    known = (labels >= 0) & (sampled_label >= 0) & (labels > 0).flatten(1).any(1)[:, None, None]
    cost = _surprise(confidence[:, 0], sampled_label == labels, known)
    return terms | {"confidence": confidence_weight * cost}


def _sites(offset: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b h w 2"]:
    """Return where offsets point: x and y, of which the map's corners are -1 and 1."""
    rows, columns = (
        (2 * torch.arange(side, device=offset.device, dtype=offset.dtype) + 1) / side - 1
        for side in offset.shape[2:]
    )
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    return (place + offset).permute(0, 2, 3, 1)


def _nearest(labels: Int[Tensor, "b h w"], place: Float[Tensor, "b h w 2"]) -> Int[Tensor, "b h w"]:
    """Return the label of the pixel nearest to each place, at the edge beyond it."""
    height, width = labels.shape[1:]
    column, row = (
        ((place[..., axis].detach() + 1) * side / 2 - 0.5).round().long().clamp(0, side - 1)
        for axis, side in enumerate((width, height))
    )
    return labels.flatten(1).gather(1, (row * width + column).flatten(1)).view_as(labels)


def _surprise(
    probability: Float[Tensor, "b h w"], truth: Bool[Tensor, "b h w"], known: Bool[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Return the cross-entropy: mean over known pixels, then over images that have some."""
    right = torch.where(truth, probability, 1 - probability).clamp(min=LEAST)
    number = known.sum((1, 2))
    per_image = -torch.where(known, right.log(), 0.0).sum((1, 2)) / number.clamp(min=1)
    return per_image.sum() / (number > 0).sum().clamp(min=1)
