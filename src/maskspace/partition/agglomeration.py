"""Regions merged while they are alike on average along their common border, or cut from a tree.

`agglomeration` is the average linkage of the generalised algorithm for signed graphs (GASP, Bailoni
et al. 2019, arXiv 1906.11713) on superpixels. Input: an embedding. Idea: the distance of two
clusters is the mean distance of their superpixels' mean embeddings over their common border, where
each pixel of border has the same weight. Steps: superpixels; then the nearest pair of clusters is
merged, again and again, until every pair is farther apart than the bandwidth. Cost: a heap entry
for each pair of neighbours and each merge of them.
"""

import heapq
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor

from maskspace.partition.decoded import cells, foreground_of, gathered
from maskspace.partition.merge_tree import build_tree
from maskspace.partition.offset_read import embedding_of
from maskspace.partition.superpixels import equal_components, superpixels
from maskspace.prediction import Prediction


def agglomeration(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    bandwidth: float,
    regions: int = 4096,
    min_area: int = 16,
) -> Prediction:
    """Return the clusters of the foreground, each 4-connected.

    The score is the mean of exp(-d^2 / 2 `bandwidth`^2), where d is the distance of a pixel to the
    mean of its instance.

    Args:
        outputs: an embedding level, and `foreground` if the network has it.
        bandwidth: largest distance in the embedding at which clusters are merged, > 0.
        regions: number of superpixels, >= 1; an instance smaller than a superpixel may be lost
            (default 4096).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Raises ValueError for a bandwidth of 0 or less.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> found = agglomeration({"1": halves}, bandwidth=0.5, min_area=1)
        >>> found.labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
    """
    if bandwidth <= 0:
        raise ValueError(f"agglomeration: bandwidth is above 0; got {bandwidth}")
    embedding = embedding_of(outputs)
    size_hw = (embedding.shape[1], embedding.shape[2])
    inside = foreground_of(outputs, size_hw).cpu().numpy()
    features = embedding.cpu().numpy()
    pieces = superpixels(features / bandwidth, regions=regions)
    pieces = equal_components(np.where(inside, pieces, 0).astype(np.int32))
    labels = np.where(inside, merge_pieces(pieces, features, inside, bandwidth=bandwidth), 0)
    squared_distance = squared_spread(features, labels)
    return gathered(
        labels, np.exp(-squared_distance / (2 * bandwidth**2)), min_area=cells(outputs, min_area)
    )


def merge_tree(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    height: float = 0.1,
    regions: int = 1024,
    min_area: int = 16,
) -> Prediction:
    """Return the regions of the embedding's merge tree, cut at a height.

    See `MergeTree`: every merge at or below the height is done. Regions are cut off at the edge of
    the foreground. The score is 1 less the mean squared difference of the pixels to the region's
    mean, over channels.

    Args:
        outputs: an embedding level with values in [0, 1], and `foreground` if the network has it.
        height: where the tree is cut, in [0, 1]; higher gives fewer regions (default 0.1).
        regions: number of superpixels, >= 1 (default 1024).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> merge_tree({"1": halves}, height=0.5).labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
        >>> merge_tree({"1": halves}, height=1.0).labels.max().item()
        1
    """
    embedding = embedding_of(outputs)
    inside = foreground_of(outputs, (embedding.shape[1], embedding.shape[2])).cpu().numpy()
    features = embedding.cpu().numpy()
    labels = np.where(inside, build_tree(features, regions=regions).cut(height), 0)
    quality = 1 - squared_spread(features, labels) / len(features)
    return gathered(labels, quality, min_area=cells(outputs, min_area))


def squared_spread(
    features: Float32[np.ndarray, "c h w"], labels: Int32[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return the squared distance of each pixel to the mean of its label, summed over channels.

    Example:
        >>> features = np.array([[[0.0, 2.0, 5.0]]], np.float32)
        >>> squared_spread(features, np.array([[1, 1, 2]], np.int32)).tolist()
        [[1.0, 1.0, 0.0]]
    """
    flat_labels = labels.ravel()
    count = np.maximum(np.bincount(flat_labels), 1)
    squared = np.zeros(flat_labels.shape)
    for channel in features.reshape(len(features), -1):
        squared += (channel - (np.bincount(flat_labels, weights=channel) / count)[flat_labels]) ** 2
    return squared.reshape(labels.shape)


def merge_pieces(
    pieces: Int32[np.ndarray, "h w"],
    features: Float32[np.ndarray, "c h w"],
    inside: Bool[np.ndarray, "h w"],
    *,
    bandwidth: float,
) -> Int32[np.ndarray, "h w"]:
    """Return the cluster of each pixel: pieces inside are merged, those outside stay alone.

    Args:
        pieces: superpixels, labels from 1.
        features: the embedding.
        inside: where pieces may be merged.
        bandwidth: largest distance at which clusters are merged.

    A cluster has the label of its first piece.

    Example:
        >>> pieces = np.array([[1, 2, 3]], np.int32)
        >>> features = np.array([[[0.0, 0.1, 1.0]]], np.float32)
        >>> merge_pieces(pieces, features, np.ones((1, 3), bool), bandwidth=0.5).tolist()
        [[1, 1, 3]]
    """
    first, second, border = _borders(pieces, inside)
    piece_index, count = pieces.ravel() - 1, np.bincount(pieces.ravel() - 1)
    means = np.stack(
        [np.bincount(piece_index, weights=c) / count for c in features.reshape(len(features), -1)],
        1,
    )
    distance = np.sqrt(((means[first] - means[second]) ** 2).sum(1))
    cluster_of_piece = average_linkage(first, second, distance, border, len(count), limit=bandwidth)
    return cluster_of_piece[pieces - 1].astype(np.int32) + 1


def _borders(
    pieces: Int32[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]
) -> tuple[Int64[np.ndarray, " e"], Int64[np.ndarray, " e"], Int64[np.ndarray, " e"]]:
    """Return the adjacent pairs of pieces inside, lower first, and the length of their borders."""
    index, number = pieces.astype(np.int64) - 1, int(pieces.max())
    codes = []
    for before, after in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        is_border = (index[before] != index[after]) & inside[before] & inside[after]
        left, right = index[before][is_border], index[after][is_border]
        codes.append(np.minimum(left, right) * number + np.maximum(left, right))
    code, border = np.unique(np.concatenate(codes), return_counts=True)
    return code // number, code % number, border


def average_linkage(
    first: Int64[np.ndarray, " e"],
    second: Int64[np.ndarray, " e"],
    distance: Float[np.ndarray, " e"],
    weight: Int64[np.ndarray, " e"],
    nodes: int,
    *,
    limit: float,
) -> Int64[np.ndarray, " n"]:
    """Return the cluster of each node, named by its lowest node.

    Input: a graph with a distance and a weight on each edge. Idea: the distance of two clusters is
    the weighted mean over the edges between them. Steps: the nearest pair is taken from a heap; its
    edges are added up; pairs with a changed mean go on the heap again, and an entry whose mean has
    changed since is skipped. Cost: O(e log e) for e edges made or changed. Of equal distances the
    lower numbers of clusters come first.

    Args:
        first: one node of each edge.
        second: its other node.
        distance: distance on each edge.
        weight: weight of each edge, > 0.
        nodes: number of nodes.
        limit: clusters farther apart are not merged.

    Example:
        >>> first, second = np.array([0, 1]), np.array([1, 2])  # a chain of three nodes
        >>> distance, weight = np.array([0.1, 0.9]), np.array([1, 1])
        >>> average_linkage(first, second, distance, weight, 3, limit=0.5).tolist()
        [0, 0, 2]
    """
    edges_of: list[dict[int, tuple[float, int]]] = [{} for _ in range(nodes)]
    heap = []
    edges = zip(first.tolist(), second.tolist(), distance.tolist(), weight.tolist(), strict=True)
    for a, b, mean, w in edges:
        edges_of[a][b] = edges_of[b][a] = (mean * w, w)
        if mean * w / w <= limit:
            heap.append((mean * w / w, a, b))
    heapq.heapify(heap)
    parent = list(range(nodes))
    while heap:
        mean, a, b = heapq.heappop(heap)
        edge = edges_of[a].get(b)
        if edge is None or _mean(edge) != mean:
            continue
        lower, higher = min(a, b), max(a, b)
        parent[higher] = lower
        del edges_of[lower][higher], edges_of[higher][lower]
        for other, (total, w) in edges_of[higher].items():
            old_edge = edges_of[lower].get(other, (0.0, 0))
            edge = (old_edge[0] + total, old_edge[1] + w)
            edges_of[lower][other] = edges_of[other][lower] = edge
            del edges_of[other][higher]
            if _mean(edge) <= limit:
                heapq.heappush(heap, (_mean(edge), min(lower, other), max(lower, other)))
        edges_of[higher] = {}
    for node in range(nodes):  # a parent has a lower number, so it is final by now
        parent[node] = parent[parent[node]]
    return np.array(parent)


def _mean(edge: tuple[float, int]) -> float:
    return edge[0] / edge[1]
