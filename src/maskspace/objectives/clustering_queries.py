"""Clustering by learnt queries: ClustSeg, Liang et al. 2023 (arXiv 2305.02187), in its least form.

Queries are the centres from which T rounds of expectation and maximisation start (section 3 of the
paper; `maskspace.clustering`). The cross-entropy (weight 5) and the Dice loss (weight 2) of the
masks supervise every E-step. Departures and choices:
- our queries are learnt vectors of one layer, without projections; they are not made from the
  image. One more query is that of the background;
- the paper does not say how queries are assigned to instances. Here the cheapest one-to-one
  matching (Hungarian) at the last step does it, as in DETR, so that a query means the same instance
  at every step.
Sums are made in float32, also where the embedding has half precision.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from maskspace.clustering import cluster_steps
from maskspace.config import Choice
from maskspace.heads import Level, Queries, level_name
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import dense_slots
from maskspace.targets import labels_at


def clustering_queries(
    *,
    queries: int = 100,
    steps: int = 3,
    cross_entropy: float = 5.0,
    dice: float = 2.0,
    channels: int = 16,
    stride: int = 4,
) -> Objective:
    """Return the objective: an embedding at `stride`, and queries of which the last is background.

    ValueError for less than one query.

    Args:
        queries: queries beside that of the background, >= 1: the most instances (default 100).
        steps: rounds of expectation and maximisation, in training and in the decoder (default 3).
        cross_entropy: weight of the term `cross_entropy` (default 5).
        dice: weight of the term `dice` (default 2).
        channels: numbers in the vector of a pixel, >= 1 (default 16).
        stride: pixels in the side of a cell of the embedding (default 4).

    Example:
        >>> objective = clustering_queries(queries=10)
        >>> sorted(objective.heads), objective.decoder.name
        (['4', 'query'], 'queries')
    """
    if queries < 1:
        raise ValueError(f"clustering_queries: queries is at least 1; got {queries}")
    cost = partial(query_terms, steps=steps, cross_entropy=cross_entropy, dice=dice)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        return cost(outputs[str(stride)], outputs["query"], labels_at(labels, stride))

    heads = {
        level_name(stride): Level(channels=channels, stride=stride),
        "query": Queries(number=queries + 1, channels=channels),
    }
    decoder = Choice(name="queries", options={"steps": steps})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def query_terms(
    embedding: Float[Tensor, "b c h w"],
    queries: Float[Tensor, "b k c"],
    labels: Int[Tensor, "b h w"],
    *,
    steps: int = 3,
    cross_entropy: float = 5.0,
    dice: float = 2.0,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `cross_entropy` and `dice`, weighted, of the matched queries and the last.

    The mask of a query is its share of the softmax over all queries. A target is an instance, or
    the background, which belongs to the last query. Each term is the mean over the targets that
    have a query, then over E-steps, then over the images with an instance; the cross-entropy is in
    nats a known cell.

    A query without a target has no term: its share is only lost by the others. Instances beyond the
    number of queries have no query. Equal queries are a saddle point: their matching is arbitrary,
    and it separates them. A constant embedding with different queries is not stationary.

    Example:
        >>> labels = torch.tensor([[[1, 1, 0, 0]]])
        >>> embedding = 9.0 * torch.stack([labels > 0, labels == 0], 1).float()
        >>> queries = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]])  # the last is the background's
        >>> terms = query_terms(embedding, queries, labels, steps=1)
        >>> round(terms["cross_entropy"].item(), 3), round(terms["dice"].item(), 3)
        (0.0, 0.0)
    """
    slot, number = dense_slots(labels.flatten(1))
    if number == 0:
        nothing = (embedding.sum() + queries.sum()) * 0.0
        return {"cross_entropy": nothing, "dice": nothing}
    features = at_least_float32(embedding).flatten(2).transpose(1, 2)  # b p c
    # column 0 is the background, the last one is for what nobody knows
    column = torch.where(labels.flatten(1) > 0, slot + 1, 0)
    column = column.masked_fill(labels.flatten(1) < 0, number + 1)
    logits = cluster_steps(at_least_float32(queries), features, steps=steps)
    costs = [_costs(z, column, number) for z in logits]  # 2 b n+1 k each
    weights = features.new_tensor([cross_entropy, dice])
    last = torch.tensordot(weights, costs[-1].detach(), dims=1)
    counts = torch.where(column <= number, column, 0).amax(1).tolist()
    matched = _match(last, counts)
    has_query = matched >= 0
    mean = torch.stack(costs).mean(0).gather(3, matched.clamp(min=0).expand(2, -1, -1)[..., None])
    per_image = torch.where(has_query, mean[..., 0], 0.0).sum(2) / has_query.sum(1).clamp(min=1)
    value = weights * per_image.sum(1) / sum(count > 0 for count in counts)
    return {"cross_entropy": value[0], "dice": value[1]}


def _costs(
    logits: Float[Tensor, "b p k"], column: Int[Tensor, "b p"], number: int
) -> Float[Tensor, "2 b n k"]:
    """Return the cross-entropy and the Dice loss of every query's mask for every target."""
    share, on = logits.softmax(2), logits.log_softmax(2)
    off = log_complement(logits, share)
    known = (column <= number)[..., None]
    cells = known.sum((1, 2)).clamp(min=1)[:, None, None]
    sizes = torch.zeros(len(column), number + 2, device=column.device, dtype=share.dtype)
    sizes = sizes.scatter_add(1, column, torch.ones_like(share[..., 0]))[:, : number + 1, None]
    # -sum over a mask of log p and outside it of log(1 - p), for all pairs at once
    gain = _sums(on - off, column, number) + (off * known).sum(1, keepdim=True)
    shared = _sums(share, column, number)
    total = (share.square() * known).sum(1, keepdim=True) + sizes
    return torch.stack([-gain / cells, 1 - (2 * shared + 1) / (total + 1)])


def log_complement(
    logits: Float[Tensor, "b p k"], share: Float[Tensor, "b p k"]
) -> Float[Tensor, "b p k"]:
    """Return log(1 - softmax), exact also where a share is 1 in this precision.

    Example:
        >>> logits = torch.zeros(1, 1, 4)
        >>> log_complement(logits, logits.softmax(2)).exp()[0, 0].tolist()  # 1 - 1/4
        [0.75, 0.75, 0.75, 0.75]
    """
    top = logits.argmax(2, keepdim=True)
    rest = logits.scatter(2, top, -torch.inf).logsumexp(2, keepdim=True)
    highest = rest - logits.logsumexp(2, keepdim=True)
    # no other share is above 1/2
    others = torch.log1p(-share.scatter(2, top, 0.0))
    return others.scatter(2, top, highest)


def _sums(
    values: Float[Tensor, "b p k"], column: Int[Tensor, "b p"], number: int
) -> Float[Tensor, "b n k"]:
    """Return the sums over the background and each instance of an image."""
    batch, _, clusters = values.shape
    rows = torch.arange(batch, device=column.device)[:, None] * (number + 2)
    sums = values.new_zeros(batch * (number + 2), clusters)
    sums = sums.index_add(0, (rows + column).flatten(), values.flatten(0, 1))
    return sums.unflatten(0, (batch, -1))[:, : number + 1]


def _match(cost: Float[Tensor, "b n k"], counts: Sequence[int]) -> Int[Tensor, "b n"]:
    """Return each target's query, -1 for none; images without an instance have no target."""
    matched = np.full(cost.shape[:2], -1)
    for row, (table, count) in enumerate(zip(cost.cpu().numpy(), counts, strict=True)):
        if count:
            target, query = linear_sum_assignment(table[1 : count + 1, :-1])
            matched[row, target + 1] = query
            matched[row, 0] = cost.shape[2] - 1
    return torch.from_numpy(matched).to(cost.device)
