"""Instances between which something pushes harder than anything on the way pulls.

The mutex watershed (Wolf et al. 2018, ECCV, and 2020, arXiv 1904.12654): edges, strongest first,
join two clusters or forbid that they are ever joined. Affinities of an embedding are those of SPOCO
(Wolny et al. 2022, arXiv 2103.14572), ((2 d - |x_p - x_q|)+ / 2 d)^2 at bandwidth d; edges to the
next pixels attract by them, longer ones repel by what they lack to 1. Departure: edges of weight 0
say nothing, where the algorithm joins by them what is not forbidden.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor

from maskspace.kernels.compiled import compiled
from maskspace.partition.decoded import Decoded, cells, foreground_of, gathered
from maskspace.partition.offset_read import embedding_of

#: Steps in x and y from a pixel to the others of its edges: those of the paper's 2-D experiments.
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
) -> Decoded:
    """Return the clusters of the foreground; equal weights go by offset, then in row-major order.

    `offsets` are x and y; those of length 1 attract, the others repel. With a head `affinity` of as
    many channels its sigmoid is the probability of a break along each offset, else affinities are
    of the embedding. The score is the mean affinity of an instance's pixels along the attractive
    edges.
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
    labels = cluster(first, second, weight, inside.size).reshape(inside.shape)
    short = [k for k, offset in enumerate(offsets) if _attracts(offset)]
    quality = affinities[short].mean(0)
    return gathered(np.where(inside, labels, 0), quality, min_area=min_area)


def _attracts(offset: tuple[int, int]) -> bool:
    return abs(offset[0]) + abs(offset[1]) == 1


def embedding_affinities(
    embedding: Float32[Tensor, "c h w"], offsets: tuple[tuple[int, int], ...], *, bandwidth: float
) -> Float32[Tensor, "n h w"]:
    """Return the affinity of each pixel to the one at each offset; 0 where that is outside."""
    height, width = embedding.shape[1:]
    affinities = torch.zeros((len(offsets), height, width), device=embedding.device)
    for affinity, offset in zip(affinities, offsets, strict=True):
        here, there = _overlap(offset, (height, width))
        distance = (embedding[:, *here] - embedding[:, *there]).square().sum(0).sqrt()
        affinity[here] = (1 - distance / (2 * bandwidth)).clamp(min=0).square()
    return affinities


def _overlap(
    offset: tuple[int, int], size_hw: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where pixels are that have one at the offset, and where those are."""
    (x, y), (height, width) = offset, size_hw
    here = (_span(-y, height), _span(-x, width))
    return here, (_span(y, height), _span(x, width))


def _span(before: int, side: int) -> slice:
    return slice(min(max(before, 0), side), max(min(side, side + before), 0))


def signed_edges(
    affinities: Float32[np.ndarray, "n h w"],
    inside: Bool[np.ndarray, "h w"],
    offsets: tuple[tuple[int, int], ...],
) -> tuple[Int32[np.ndarray, " e"], Int32[np.ndarray, " e"], Float32[np.ndarray, " e"]]:
    """Return the pixels of each edge by flat index, and its weight: below 0 where it repels.

    The strongest come first. Edges with a pixel outside the foreground, and those of weight 0, are
    left out.
    """
    pixel = np.arange(inside.size, dtype=np.int32).reshape(inside.shape)
    parts = []
    for affinity, offset in zip(affinities, offsets, strict=True):
        here, there = _overlap(offset, inside.shape)
        weight = affinity[here] if _attracts(offset) else affinity[here] - 1
        used = inside[here] & inside[there] & (weight != 0)
        parts.append((pixel[here][used], pixel[there][used], weight[used]))
    first, second, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(-np.abs(weight), kind="stable")
    return first[order], second[order], weight[order]


@compiled
def cluster(
    first: Int32[np.ndarray, " e"],
    second: Int32[np.ndarray, " e"],
    weight: Float[np.ndarray, " e"],
    nodes: int,
) -> Int64[np.ndarray, " n"]:
    """Return the cluster of each node, numbered from 1, of edges that come strongest first.

    Pairs of roots that are kept apart are in a hash table, and each root has a list of its own; of
    two that are joined the one of the shorter list gives its pairs to the other, and those that
    still have its name are never asked for again.
    """
    parent = np.arange(nodes)
    length, head = np.zeros(nodes, np.int64), np.full(nodes, -1)
    repelling = 0
    for edge in range(len(weight)):
        repelling += weight[edge] < 0
    value, following = np.empty(2 * repelling, np.int64), np.empty(2 * repelling, np.int64)
    listed, stored = 0, 0
    table = np.full(1024, -1)
    for edge in range(len(weight)):
        a, b = _root(parent, int(first[edge])), _root(parent, int(second[edge]))
        if a == b:
            continue
        slot = _slot(table, _pair(a, b, nodes))
        if table[slot] != -1:
            continue
        if weight[edge] < 0:
            table[slot] = _pair(a, b, nodes)
            stored += 1
            for root, other in ((a, b), (b, a)):
                value[listed], following[listed] = other, head[root]
                head[root] = listed
                length[root] += 1
                listed += 1
        else:
            short, long = (a, b) if length[a] <= length[b] else (b, a)
            parent[short] = long
            at = head[short]
            while at != -1:
                after = following[at]
                pair = _pair(long, _root(parent, int(value[at])), nodes)
                slot = _slot(table, pair)
                if table[slot] == -1:
                    table[slot] = pair
                    stored += 1
                    following[at] = head[long]
                    head[long] = at
                    length[long] += 1
                at = after
                if 2 * stored > len(table):
                    table, stored = _larger(table, parent, nodes)
        if 2 * stored > len(table):
            table, stored = _larger(table, parent, nodes)
    label = np.zeros(nodes, np.int64)
    number = 0
    for node in range(nodes):
        root = _root(parent, node)
        if label[root] == 0:
            number += 1
            label[root] = number
        label[node] = label[root]
    return label


@compiled
def _root(parent: Int64[np.ndarray, " n"], node: int) -> int:
    """Return the root of a node, and halve the way to it."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def _pair(a: int, b: int, nodes: int) -> int:
    return min(a, b) * nodes + max(a, b)


@compiled
def _slot(table: Int64[np.ndarray, " s"], pair: int) -> int:
    """Return where a pair is, or the empty slot where it belongs; the size is a power of 2."""
    mixed = pair * -7046029254386353131  # the golden ratio of 64 bits
    at = (mixed ^ (mixed >> 32)) & (len(table) - 1)
    while table[at] != -1 and table[at] != pair:
        at = (at + 1) & (len(table) - 1)
    return at


@compiled
def _larger(
    table: Int64[np.ndarray, " s"], parent: Int64[np.ndarray, " n"], nodes: int
) -> tuple[Int64[np.ndarray, " t"], int]:
    """Return the pairs of what still are roots in a table four times as large, and their number."""
    larger, stored = np.full(4 * len(table), -1), 0
    for pair in table:
        if pair != -1:
            a, b = pair // nodes, pair % nodes
            if parent[a] == a and parent[b] == b:
                larger[_slot(larger, pair)] = pair
                stored += 1
    return larger, stored
