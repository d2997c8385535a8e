"""Deep metric learning with seeds: Fathi et al. 2017 (arXiv 1703.10277).

Cross-entropy of whether two pixels are of one instance, on sampled pairs, the probability being
sigma = 2 / (1 + exp(|x_p - x_q|^2 / temperature)); and of whether the pixels that a pixel would
gather at a threshold are an instance, which finds the seeds of the decoder. Without class labels:
a seed is of something, or of nothing. Choices where the sources differ or are silent:
- the background is one instance more in the pairs: where nothing says what it is like, the pixels
  that a seed gathers do not end at the border of its instance;
- the pairs' weights are normalised to sum 1 and not divided by the number of samples again;
- an instance's size is that in the image, as in the paper's definition of weights. Every instance
  has as many samples, so `uniform` weighs instances alike, and `inv_both_norm` favours small ones;
- a seed gathers an instance above an IoU of 0.75: above a half, which may be the paper's, the
  decoder takes the first seed that is hardly right (on rectangles, with seeds that know the truth,
  mean best IoU 0.68 against 0.74);
- seeds weigh 1 and are 30 an image; the paper's weight grew to 0.2 and its seeds were 10, which is
  too little to be learnt in a short training;
- logits of a seed are of two classes, hence one number a threshold.
The embedding has 16 channels at full resolution, which is the memory of the paper's 64 at stride 2,
and about as many as the student's decoder can tell apart there (13).
"""

import math
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap, Level, level_name
from maskspace.mask_losses.masks import mean_over_maps
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import instances
from maskspace.objectives.samples import features_at, sample_instances, sample_pixels
from maskspace.targets import labels_at

#: The head of the seeds' logits, one channel a threshold (`seed`, of other methods, is one
#: probability).
SEEDS = "seeds"
#: The similarities at which a seed may gather its pixels.
THRESHOLDS = (0.25, 0.5, 0.75, 0.9)
#: Below this squared distance the cost of a foreign pair no longer grows (14.5) nor has a gradient.
CLOSEST = 1e-6

NormWeighting = Literal["inv_both_norm", "inv_p", "uniform"]


def metric_learning(
    *,
    samples: int = 10,
    weighting: NormWeighting = "inv_both_norm",
    background: bool = True,
    temperature: float = 1.0,
    seed_weight: float = 1.0,
    seeds: int = 30,
    thresholds: tuple[float, ...] = THRESHOLDS,
    least_iou: float = 0.75,
    decay: float = 0.3,
    channels: int = 16,
    stride: int = 1,
) -> Objective:
    """Return the objective; see `pair_terms` and `seed_term`.

    ValueError for a `seed_weight` of 0 or less: the decoder needs seeds.

    Args:
        samples: pixels drawn from each instance, whose pairs are compared (default 10).
        weighting: weight of a pair of pixels of instances of n_p and n_q pixels: "inv_both_norm"
            for 1 / (n_p n_q), "inv_p" for 1 / n_p, "uniform" for 1 (default "inv_both_norm").
        background: whether the background is one instance more in the pairs (default True).
        temperature: squared distance at which the similarity of two pixels is 0.54 (default 1).
        seed_weight: weight of the term `seeds`, > 0 (default 1).
        seeds: pixels drawn from an image for the term `seeds` (default 30).
        thresholds: similarities at which a seed may gather pixels, in (0, 1) (default 0.25, 0.5,
            0.75 and 0.9).
        least_iou: IoU with an instance above which the pixels that a seed gathers are right
            (default 0.75).
        decay: weight of the distance from chosen seeds in the decoder, 0.1 to 0.6 (default 0.3).
        channels: numbers in the vector of a pixel, >= 1 (default 16).
        stride: pixels in the side of a cell of the embedding (default 1).

    Example:
        >>> objective = metric_learning()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'seeds'], 'seeded_similarity')
    """
    if seed_weight <= 0:
        raise ValueError(f"seed_weight is above 0, as the decoder needs seeds; got {seed_weight}")
    pairs = partial(
        pair_terms,
        samples=samples,
        weighting=weighting,
        background=background,
        temperature=temperature,
    )
    grown = partial(
        seed_term,
        thresholds=thresholds,
        temperature=temperature,
        seeds=seeds,
        least_iou=least_iou,
    )

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        embedding, cells = outputs[str(stride)], labels_at(labels, stride)
        seed = seed_weight * grown(embedding.detach(), outputs[SEEDS], cells)
        return pairs(embedding, cells) | {"seeds": seed}

    heads = {
        level_name(stride): Level(channels=channels, stride=stride),
        SEEDS: DenseMap(channels=len(thresholds), stride=stride),
    }
    options = {"thresholds": thresholds, "decay": decay, "temperature": temperature}
    decoder = Choice(name="seeded_similarity", options=options)
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def pair_terms(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    samples: int = 10,
    weighting: NormWeighting = "inv_both_norm",
    background: bool = True,
    temperature: float = 1.0,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `pull` and `push` of sampled pairs, in nats; means over images.

    See `pair_costs`. With `background`, the background is one instance more. Images without an
    instance take no part.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> terms = pair_terms(9.0 * labels[:, None], labels, samples=2)
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'pull': 0.0, 'push': 0.0}
    """
    some = (labels > 0).flatten(1).any(1)
    if background:
        labels = torch.where(some[:, None, None], labels + 1, 0)
    drawn = sample_instances(embedding, labels, number=samples)
    if drawn.features.shape[1] == 0:
        return {"pull": embedding.sum() * 0.0, "push": embedding.sum() * 0.0}
    slot = torch.arange(drawn.counts.shape[1], device=labels.device)
    slot = torch.where(drawn.present, slot, -1).repeat_interleave(samples, dim=1)
    sizes = drawn.counts.repeat_interleave(samples, dim=1)
    pull, push = pair_costs(
        drawn.features.flatten(1, 2),
        slot,
        sizes.to(drawn.features.dtype),
        weighting=weighting,
        temperature=temperature,
    )
    some = some.to(pull.dtype)
    return {"pull": mean_over_maps(pull, some), "push": mean_over_maps(push, some)}


def pair_costs(
    features: Float[Tensor, "b s c"],
    instance: Int[Tensor, "b s"],
    sizes: Float[Tensor, "b s"],
    *,
    weighting: NormWeighting = "inv_both_norm",
    temperature: float = 1.0,
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Return the costs of sampled pairs of one instance, and of pairs of two instances.

    - one instance: -sum_{p,q} w_pq log sigma_pq;
    - two instances: -sum_{p,q} w_pq log(1 - sigma_pq). Pairs are ordered; p = q is among them and
      costs 0. `instance` is -1 where there is no sample. w_pq is 1 / (n_p n_q) ("inv_both_norm") or
      1 ("uniform"), over the sum of all, or 1 / n_p over the number of samples ("inv_p"). A
      constant output costs nothing in pull; in push it costs its share of the weight times 14.5,
      and is a stationary point; a step of 0.01 away foreign pairs are pushed by 2 / step. If
      nothing tells pixels apart, K instances settle at the entropy of 1/K.

    Example:
        >>> instance, sizes = torch.tensor([[0, 1]]), torch.ones(1, 2)
        >>> pull, push = pair_costs(torch.tensor([[[0.0], [9.0]]]), instance, sizes)
        >>> pull.item(), round(push.item(), 3)  # far apart, and of two instances
        (0.0, 0.0)
    """
    used = instance >= 0
    both = used[:, :, None] & used[:, None]
    if weighting == "inv_both_norm":
        weight = _inverse(sizes)[:, :, None] * _inverse(sizes)[:, None]
    elif weighting == "inv_p":
        weight = _inverse(sizes)[:, :, None].expand(both.shape)
    else:
        weight = torch.ones_like(both, dtype=features.dtype)
    weight = torch.where(both, weight, 0.0)
    total = used.sum(1) if weighting == "inv_p" else weight.sum((1, 2))
    weight = weight / total.clamp(min=torch.finfo(weight.dtype).tiny)[:, None, None]
    apart = _squared_distances(features, features, used) / temperature
    same = instance[:, :, None] == instance[:, None]
    # log sigma = log 2 - softplus(u); 1 - sigma = tanh(u / 2) = (1 - exp(-u)) / (1 + exp(-u))
    far = apart.clamp(min=CLOSEST)
    pull = torch.where(same, F.softplus(apart) - math.log(2), 0.0)
    push = torch.where(same, 0.0, F.softplus(-far) - torch.log(-torch.expm1(-far)))
    return (weight * pull).sum((1, 2)), (weight * push).sum((1, 2))


def seed_term(
    embedding: Float[Tensor, "b c h w"],
    logits: Float[Tensor, "b t h w"],
    labels: Int[Tensor, "b h w"],
    *,
    thresholds: tuple[float, ...] = THRESHOLDS,
    temperature: float = 1.0,
    seeds: int = 30,
    least_iou: float = 0.75,
) -> Float[Tensor, ""]:
    """Return the cross-entropy of whether a seed gathers an instance at each threshold, in nats.

    The mean is over drawn known pixels and thresholds t, then over the images with an instance. A
    seed gathers the known pixels q with sigma(seed, q) > t. It is right if their IoU with some
    instance is above `least_iou`. No gradient reaches the embedding.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> embedding = 9.0 * labels[:, None]
        >>> sure = torch.full((1, 4, 1, 4), 20.0)  # each pixel gathers its instance
        >>> round(seed_term(embedding, sure, labels, seeds=4).item(), 4)
        0.0
    """
    pixel = sample_pixels(labels >= 0, number=seeds)
    right = gathers_instance(
        embedding,
        labels,
        pixel,
        thresholds=thresholds,
        temperature=temperature,
        least_iou=least_iou,
    )
    given = features_at(logits, pixel)  # b s t
    cost = F.binary_cross_entropy_with_logits(given, right.to(given.dtype), reduction="none")
    some = (labels > 0).flatten(1).any(1)
    return mean_over_maps(cost.mean((1, 2)), some.to(cost.dtype))


@torch.no_grad()
def gathers_instance(
    embedding: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    pixel: Int[Tensor, "b s"],
    *,
    thresholds: tuple[float, ...] = THRESHOLDS,
    temperature: float = 1.0,
    least_iou: float = 0.75,
) -> Bool[Tensor, "b s t"]:
    """Return whether the known pixels as similar to a pixel as each threshold are an instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> pixel = torch.tensor([[0, 3]])
        >>> gathers_instance(9.0 * labels[:, None], labels, pixel, thresholds=(0.5,)).tolist()
        [[[True], [True]]]
        >>> gathers_instance(torch.zeros(1, 1, 1, 4), labels, pixel, thresholds=(0.5,)).tolist()
        [[[False], [False]]]
    """
    groups = instances(embedding, labels)
    columns = groups.counts.shape[1]
    if columns == 0:
        return torch.zeros(*pixel.shape, len(thresholds), dtype=torch.bool, device=labels.device)
    known = (labels >= 0).flatten(1)
    # sigma > t where |x_p - x_q|^2 < temperature * log(2 / t - 1)
    reach = groups.pixels.new_tensor([temperature * math.log(2 / t - 1) for t in thresholds])
    apart = _squared_distances(features_at(embedding, pixel), groups.pixels, known)  # b s p
    inside = (apart[:, :, None] < reach[:, None]) & known[:, None, None]  # b s t p
    slot = torch.where(groups.labelled, groups.slot, columns)[:, None, None].expand(inside.shape)
    shared = groups.counts.new_zeros(*inside.shape[:3], columns + 1)
    shared = shared.scatter_add(3, slot, inside.to(shared.dtype))[..., :columns]
    counts = groups.counts[:, None, None]
    union = inside.sum(3, keepdim=True) + counts - shared
    return (shared / union.clamp(min=1) > least_iou).any(3)


def _inverse(sizes: Float[Tensor, "b s"]) -> Float[Tensor, "b s"]:
    return 1 / sizes.clamp(min=1)


def _squared_distances(
    one: Float[Tensor, "b s c"], other: Float[Tensor, "b p c"], used: Bool[Tensor, "b p"]
) -> Float[Tensor, "b s p"]:
    """Return |x_s - x_p|^2, at least 0, with no array of pairs and channels.

    Features are first measured from their mean, as rounding grows with their length.
    """
    weight = used[..., None].to(other.dtype)
    centre = (other * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    one, other = one - centre.detach(), other - centre.detach()
    norms = one.square().sum(-1)[:, :, None] + other.square().sum(-1)[:, None]
    return (norms - 2 * one @ other.transpose(1, 2)).clamp(min=0)
