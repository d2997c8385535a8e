"""Masks grown around seeds that are sure and unlike one another, then suppressed.

Deep metric learning (Fathi et al. 2017, arXiv 1703.10277), without classes. The similarity of two
pixels is 2 / (1 + exp(|x_p - x_q|^2 / temperature)). `seeds` has a channel for each threshold of
the similarity: the logit that the mask which a pixel grows at this threshold is an instance.
Departure: the kept masks are made disjoint, the surer one in front.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from maskspace.partition.decoded import at_size, cells, foreground_of, gathered, need
from maskspace.partition.nms import mask_nms
from maskspace.partition.offset_read import embedding_of
from maskspace.prediction import Prediction

_NAME = "seeded_similarity"
_LEAST = 1e-6  # least value of which a logarithm is taken


def seeded_similarity(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    thresholds: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9),
    decay: float = 0.3,
    temperature: float = 1.0,
    seeds: int = 100,
    seed_threshold: float = 0.5,
    overlap: float = 0.5,
    min_area: int = 16,
) -> Prediction:
    """Return the disjoint masks of the seeds; the score is the probability of the seed.

    The next seed is the pixel with the largest log S + `decay` log D. S is its best probability
    over the thresholds; D is one less its similarity to the most similar seed before.

    Args:
        outputs: an embedding level and `seeds`; and `foreground` if the network has it.
        thresholds: similarity at which a mask ends, one for each channel of `seeds` (default 0.25,
            0.5, 0.75, 0.9).
        decay: weight of being unlike the seeds before (default 0.3).
        temperature: unit of squared distances in the embedding, > 0 (default 1).
        seeds: most seeds (default 100).
        seed_threshold: seeds with a lower probability grow no mask (default 0.5).
        overlap: of two masks with a larger IoU the less sure one is dropped (default 0.5).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Raises ValueError where an output is missing, or `seeds` has another number of channels.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> found = seeded_similarity({"1": 9 * halves, "seeds": torch.full((4, 8, 8), 3.0)})
        >>> found.labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
    """
    embedding = embedding_of(outputs)
    size_hw = (embedding.shape[1], embedding.shape[2])
    logits = at_size(need(outputs, "seeds", decoder=_NAME), size_hw)
    if len(logits) != len(thresholds):
        raise ValueError(
            f"decoder {_NAME}: seeds has a channel for each of the {len(thresholds)} thresholds; "
            f"got {len(logits)}"
        )
    inside = foreground_of(outputs, size_hw)
    labels = torch.zeros(size_hw, dtype=torch.int64, device=embedding.device)
    quality = torch.zeros(size_hw, device=embedding.device)
    surest, best_channel = logits[:, inside].sigmoid().max(0)
    if surest.numel() and float(surest.max()) >= seed_threshold:
        similarity = torch.tensor(thresholds, device=embedding.device)[best_channel]
        pixels = embedding[:, inside] * temperature**-0.5
        masks, scores = grow(pixels, surest, similarity, decay=decay, seeds=seeds)
        is_sure = scores >= seed_threshold
        masks, scores = masks[is_sure], scores[is_sure]
        seed_of = torch.zeros(masks.shape[1], dtype=torch.int64, device=masks.device)
        probability = torch.zeros_like(surest)
        for index in mask_nms(masks[:, None], scores, overlap=overlap)[::-1].tolist():
            seed_of[masks[index]] = index + 1
            probability[masks[index]] = scores[index]
        labels[inside], quality[inside] = seed_of, probability
    return gathered(labels.cpu().numpy(), quality.cpu().numpy(), min_area=cells(outputs, min_area))


def grow(
    pixels: Float32[Tensor, "c p"],
    surest: Float32[Tensor, " p"],
    threshold: Float32[Tensor, " p"],
    *,
    decay: float,
    seeds: int,
) -> tuple[Bool[Tensor, "n p"], Float32[Tensor, " n"]]:
    """Return the mask and the probability of each seed, in the order in which seeds are chosen.

    Args:
        pixels: the embedding of each pixel, in units of the temperature's square root.
        surest: probability of each pixel as a seed.
        threshold: similarity at which the mask of each pixel ends.
        decay: as in `seeded_similarity`.
        seeds: most seeds.

    Example:
        >>> import torch
        >>> pixels = torch.tensor([[0.0, 0.0, 9.0]])
        >>> surest, threshold = torch.full((3,), 0.9), torch.full((3,), 0.5)
        >>> masks, _ = grow(pixels, surest, threshold, decay=0.3, seeds=2)
        >>> masks.int().tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    number = min(seeds, len(surest))
    masks = torch.zeros((number, len(surest)), dtype=torch.bool, device=pixels.device)
    chosen = []
    norms = pixels.square().sum(0)
    unlikeness = torch.ones_like(surest)
    log_sure = surest.clamp(min=_LEAST).log()
    for index in range(number):
        place = (log_sure + decay * unlikeness.clamp(min=_LEAST).log()).argmax()[None]
        chosen.append(place)
        seed = pixels.index_select(1, place)
        squared = norms - 2 * (seed.T @ pixels)[0] + seed.square().sum()
        half_squared = squared.clamp(min=0) / 2
        # 1 - 2 / (1 + exp(u)) is tanh(u / 2), which keeps small differences
        dissimilar = half_squared.tanh()
        masks[index] = 1 - dissimilar > threshold.index_select(0, place)
        unlikeness = torch.minimum(unlikeness, dissimilar)
    return masks, surest[torch.cat(chosen)]
