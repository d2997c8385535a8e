"""Instances between which something pushes harder than anything on the way pulls.

The mutex watershed (Wolf et al. 2018, ECCV, and 2020, arXiv 1904.12654). Input: edges between
pixels that attract or repel. Steps: edges are taken from the strongest to the weakest; an
attractive edge joins two clusters, unless that is forbidden; a repulsive edge forbids it for good.
Cost: one sort of the edges.

Affinities of an embedding are those of SPOCO (Wolny et al. 2022, arXiv 2103.14572), ((2 d - |x_p -
x_q|)+ / 2 d)^2 at bandwidth d. Edges to the next pixels attract by their affinity; longer ones
repel by 1 less their affinity. Departure: edges of weight 0 are left out, where the algorithm joins
by them what is not forbidden.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32
from torch import Tensor

from maskspace.kernels.mutex_clusters import mutex_clusters
from maskspace.partition.decoded import cells, foreground_of, gathered
from maskspace.partition.offset_read import embedding_of
from maskspace.prediction import Prediction

#: Steps in x and y from a pixel to the other end of its edges, as in the paper's 2-D experiments.
OFFSETS = (
    (-1, 0),
    (0, -1),
    (-9, 0),
    (0, -9),
    (-9, -9),
    (9, -9),
    (-9, -4),
    (-4, -9),
    (4, -9),
    (9, -4),
    (-27, 0),
    (0, -27),
)


def mutex_watershed(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    bandwidth: float = 0.5,
    offsets: tuple[tuple[int, int], ...] = OFFSETS,
    min_area: int = 16,
) -> Prediction:
    """Return the clusters of the foreground.

    With a head `affinity`, its sigmoid is the probability of a break along each offset; else
    affinities are those of the embedding. The score is the mean affinity of an instance's pixels
    along the attractive edges. Edges of equal weight come by offset, then in row-major order.

    Args:
        outputs: `affinity` with a channel for each offset, or an embedding level; and `foreground`
            if the network has it.
        bandwidth: distance in the embedding, > 0 (default 0.5).
        offsets: steps in x and y; those of length 1 attract, the others repel (default: the paper's
            12).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Raises ValueError for a bandwidth of 0 or less, offsets of which none attracts, and another
    number of channels.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> offsets = ((1, 0), (0, 1), (2, 0))
        >>> found = mutex_watershed({"1": halves}, bandwidth=0.2, offsets=offsets)
        >>> found.labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
    """
    if bandwidth <= 0 or not any(_attracts(offset) for offset in offsets):
        raise ValueError(
            "mutex_watershed: bandwidth is above 0 and an offset has length 1; "
            f"got {bandwidth}, {offsets}"
        )
    if "affinity" in outputs:
        affinities = 1 - outputs["affinity"].sigmoid()
        if len(affinities) != len(offsets):
            raise ValueError(
                f"mutex_watershed: affinity has a channel for each of {len(offsets)} offsets; "
                f"got {len(affinities)}"
            )
    else:
        affinities = embedding_affinities(embedding_of(outputs), offsets, bandwidth=bandwidth)
        min_area = cells(outputs, min_area)
    inside = foreground_of(outputs, (affinities.shape[1], affinities.shape[2])).cpu().numpy()
    affinities = affinities.cpu().numpy()
    first, second, weight = signed_edges(affinities, inside, offsets)
    labels = mutex_clusters(first, second, weight, inside.size).reshape(inside.shape)
    attractive = [k for k, offset in enumerate(offsets) if _attracts(offset)]
    quality = affinities[attractive].mean(0)
    return gathered(np.where(inside, labels, 0), quality, min_area=min_area)


def _attracts(offset: tuple[int, int]) -> bool:
    return abs(offset[0]) + abs(offset[1]) == 1


def embedding_affinities(
    embedding: Float32[Tensor, "c h w"], offsets: tuple[tuple[int, int], ...], *, bandwidth: float
) -> Float32[Tensor, "n h w"]:
    """Return the affinity of each pixel to the pixel at each offset; 0 outside of the image.

    Args:
        embedding: the embedding.
        offsets: steps in x and y.
        bandwidth: distance d in the embedding; from 2 d on the affinity is 0.

    Example:
        >>> import torch
        >>> embedding = torch.tensor([[[0.0, 0.0, 9.0]]])
        >>> embedding_affinities(embedding, ((1, 0),), bandwidth=0.5).round(decimals=3).tolist()
        [[[1.0, 0.0, 0.0]]]
    """
    height, width = embedding.shape[1:]
    affinities = torch.zeros((len(offsets), height, width), device=embedding.device)
    for affinity, offset in zip(affinities, offsets, strict=True):
        first, second = _overlap(offset, (height, width))
        distance = (embedding[:, *first] - embedding[:, *second]).square().sum(0).sqrt()
        affinity[first] = (1 - distance / (2 * bandwidth)).clamp(min=0).square()
    return affinities


def _overlap(
    offset: tuple[int, int], size_hw: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the window of the pixels that have a pixel at the offset, and the window of those."""
    (x, y), (height, width) = offset, size_hw
    first = (_span(-y, height), _span(-x, width))
    return first, (_span(y, height), _span(x, width))


def _span(before: int, side: int) -> slice:
    return slice(min(max(before, 0), side), max(min(side, side + before), 0))


def signed_edges(
    affinities: Float32[np.ndarray, "n h w"],
    inside: Bool[np.ndarray, "h w"],
    offsets: tuple[tuple[int, int], ...],
) -> tuple[Int32[np.ndarray, " e"], Int32[np.ndarray, " e"], Float32[np.ndarray, " e"]]:
    """Return the two pixels of each edge, by flat index, and its weight, strongest first.

    A weight is below 0 where the edge repels. Edges with a pixel outside of the foreground, and
    edges of weight 0, are left out.

    Example:
        >>> affinities = np.array([[[0.9, 0.2, 0.0]]], np.float32)
        >>> first, second, weight = signed_edges(affinities, np.ones((1, 3), bool), ((1, 0),))
        >>> first.tolist(), second.tolist(), weight.round(2).tolist()
        ([0, 1], [1, 2], [0.8999999761581421, 0.20000000298023224])
    """
    pixel = np.arange(inside.size, dtype=np.int32).reshape(inside.shape)
    parts = []
    for affinity, offset in zip(affinities, offsets, strict=True):
        first_window, second_window = _overlap(offset, inside.shape)
        weight = affinity[first_window] if _attracts(offset) else affinity[first_window] - 1
        is_used = inside[first_window] & inside[second_window] & (weight != 0)
        parts.append((pixel[first_window][is_used], pixel[second_window][is_used], weight[is_used]))
    first, second, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(-np.abs(weight), kind="stable")
    return first[order], second[order], weight[order]
