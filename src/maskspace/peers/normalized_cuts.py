"""Normalised cuts on SLIC superpixels, two parts at a time, down to the superpixels.

Shi and Malik 2000 (doi:10.1109/34.868688), section 3: the eigenvector of the second smallest
eigenvalue orders the nodes, and of the cuts along this order the one of least Ncut is taken.
Weights are scikit-image's (`cut_normalized` on `rag_mean_color`), exp(-d^2 / sigma) between
neighbours, d the distance of mean colours in 8-bit levels. Departures: every place along the order
is tried, not ten; recursion goes to the end, and a cut counts as made at the Ncut of the worst cut
above it, so that one tree holds what the paper's recursion gives at any threshold.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from pydantic import PositiveFloat, PositiveInt
from scipy.linalg import eigh
from scipy.sparse import csgraph

from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.region_graph import region_graph
from maskspace.partition.shrunk import Side
from maskspace.peers.kinds import TreePeer
from maskspace.peers.linked_tree import tree_of_links
from maskspace.peers.slic_merging import slic_labels
from maskspace.types import shrink_image

_LEAST_WEIGHT = 1e-10  # what is far apart is still a neighbour


def normalized_cuts(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    superpixels: PositiveInt = 400,
    compactness: PositiveFloat = 10.0,
    sigma: PositiveFloat = 255.0,
    max_side: Side = 1024,
) -> MergeTree:
    """Return the tree of the cuts of about `superpixels` of SLIC.

    A height h is the recursion that stops where every cut has an Ncut above 2 / 10^(10 h): weights
    span ten powers of ten, so Ncuts do. Images longer than `max_side` pixels are segmented at that
    size. Seconds and memory grow with the third and second power of `superpixels`.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> normalized_cuts(halves, superpixels=16).partition(2)[0].tolist()
        [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    small = shrink_image(image, max_side=max_side)
    labels = slic_labels(small, superpixels=superpixels, compactness=compactness)
    graph = region_graph(labels, small.transpose(2, 0, 1).astype(np.float64))
    first, second = graph.pairs.T
    squares = ((graph.means[first] - graph.means[second]) ** 2).sum(axis=1)
    similarity = np.zeros((len(graph.areas), len(graph.areas)))
    similarity[first, second] = np.maximum(np.exp(-squares / sigma), _LEAST_WEIGHT)
    similarity += similarity.T
    ncuts = separations(similarity)[first, second]
    heights = np.log10(2 / np.maximum(ncuts, 2 * _LEAST_WEIGHT)) / -np.log10(_LEAST_WEIGHT)
    return tree_of_links(labels, graph.pairs, heights, size_hw=(image.shape[0], image.shape[1]))


def separations(similarity: Float64[np.ndarray, "k k"]) -> Float64[np.ndarray, "k k"]:
    """Return the least Ncut threshold, in [0, 2], at which recursion separates each two nodes.

    Example:
        >>> similarity = np.array([[0.0, 1.0, 0.1], [1.0, 0.0, 0.1], [0.1, 0.1, 0.0]])
        >>> apart = separations(similarity)
        >>> bool(apart[0, 2] < apart[0, 1])  # the third is cut off first
        True
    """
    separated = np.zeros_like(similarity)
    waiting = [(np.arange(len(similarity)), 0.0)]
    while waiting:
        nodes, worst = waiting.pop()
        part, cost = _parts(similarity[np.ix_(nodes, nodes)])
        worst = max(worst, cost)
        separated[np.ix_(nodes, nodes)] = np.where(part[:, None] == part, 0.0, worst)
        pieces = [nodes[part == piece] for piece in range(part.max() + 1)]
        waiting += [(piece, worst) for piece in pieces if len(piece) > 1]
    return separated


def two_way_cut(similarity: Float64[np.ndarray, "k k"]) -> tuple[Bool[np.ndarray, " k"], float]:
    """Return one side of the cut of a connected graph of two nodes or more, and its Ncut.

    Example:
        >>> similarity = np.array([[0.0, 1.0, 0.1], [1.0, 0.0, 0.1], [0.1, 0.1, 0.0]])
        >>> side, ncut = two_way_cut(similarity)
        >>> bool(side[0] == side[1] != side[2])
        True
    """
    degree = similarity.sum(axis=1)
    root = np.sqrt(degree)
    laplacian = np.diag(degree) - similarity
    _, vector = eigh(laplacian / np.outer(root, root), subset_by_index=[1, 1])
    order = np.argsort(vector[:, 0] / root, kind="stable")
    volume = np.cumsum(degree[order])[:-1]
    within = 2 * np.cumsum(np.tril(similarity[np.ix_(order, order)], -1).sum(axis=1))[:-1]
    within += np.cumsum(np.diag(similarity)[order])[:-1]
    cut = volume - within
    costs = cut / volume + cut / (degree.sum() - volume)
    best = int(costs.argmin())
    side = np.zeros(len(degree), bool)
    side[order[: best + 1]] = True
    return side, float(np.clip(costs[best], 0, 2))


def _parts(similarity: Float64[np.ndarray, "k k"]) -> tuple[Int64[np.ndarray, " k"], float]:
    """Return the part of each node and the Ncut; what is not connected falls apart for nothing."""
    count, piece = csgraph.connected_components(similarity > 0, directed=False)
    if count > 1 or len(piece) == 1:
        return piece.astype(np.int64), 0.0
    side, cost = two_way_cut(similarity)
    return side.astype(np.int64), cost


NORMALIZED_CUTS = TreePeer(tree=normalized_cuts)
