"""How good a proposal each node of a merge tree is.

Input: the nodes of a tree. Idea: the expected best IoU with a true region, q, times how much the
node stands out:

    q (p a^(1/2))^0.8,

where p is the node's persistence and a its share of the image. Alone, q does not say what other
nodes hold already, and the second factor does not say what an object looks like. Steps: q is a
polynomial of the second degree in what is known of a node without looking at the image again: its
size, how long it lives, how strong its outline is, how compact it is. Its weights are fitted by
least squares on the nodes of training photos (`fit_ranking`). Of a chain of nodes that are nearly
equal only the best keeps its rank. Cost: a few operations a node.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

#: Factor of the rank of a node that is nearly a node of higher rank.
DEMOTED = np.float32(1e-3)
#: The exponent of how much a node stands out, and the least q.
POWER, LEAST = 0.8, 0.01
#: Column of the root of the persistence in `node_features`.
ROOT_OF_PERSISTENCE = 3


@dataclass(frozen=True, kw_only=True)
class NodeShapes:
    """Nodes of a tree of k leaves: leaves first, then merges in order.

    Args:
        merges: the two nodes that each merge joins.
        heights: heights of the merges, never falling.
        areas: pixels of each node.
        outlines: length and summed strength of each node's border.

    Example:
        >>> shapes = NodeShapes(  # leaves 0, 1, 2; node 3 joins 0 and 1, node 4 is the whole image
        ...     merges=np.array([[0, 1], [2, 3]]),
        ...     heights=np.array([0.2, 0.8], np.float32),
        ...     areas=np.array([10.0, 10.0, 20.0, 20.0, 40.0]),
        ...     outlines=np.array([[8.0, 4.0], [8.0, 4.0], [5.0, 4.0], [5.0, 4.0], [0.0, 0.0]]),
        ... )
        >>> shapes.parents.tolist()
        [3, 3, 4, 4, -1]
    """

    merges: Int64[np.ndarray, "m 2"]
    heights: Float32[np.ndarray, " m"]
    areas: Float64[np.ndarray, " n"]
    outlines: Float64[np.ndarray, "n 2"]

    @property
    def parents(self) -> Int64[np.ndarray, " n"]:
        """The node that each node is merged into, -1 for the whole image."""
        parents = np.full(len(self.areas), -1, np.int64)
        leaves = len(self.merges) + 1
        parents[self.merges[:, 0]] = parents[self.merges[:, 1]] = np.arange(
            leaves, leaves + len(self.merges)
        )
        return parents


def node_features(shapes: NodeShapes) -> Float64[np.ndarray, "n f"]:
    """Return what is known of each node, every number about in [-1, 1].

    In this order: size (logarithm of the share of the image), height at which it is made, height at
    which it ends, square root of the persistence, mean strength of the outline, compactness (square
    root of 4 pi area, over the length of the outline), share of the parent.

    Example:
        >>> shapes = NodeShapes(  # leaves 0, 1, 2; node 3 joins 0 and 1, node 4 is the whole image
        ...     merges=np.array([[0, 1], [2, 3]]),
        ...     heights=np.array([0.2, 0.8], np.float32),
        ...     areas=np.array([10.0, 10.0, 20.0, 20.0, 40.0]),
        ...     outlines=np.array([[8.0, 4.0], [8.0, 4.0], [5.0, 4.0], [5.0, 4.0], [0.0, 0.0]]),
        ... )
        >>> node_features(shapes).shape
        (5, 7)
        >>> node_features(shapes)[0, [1, 2, 6]].round(3).tolist()  # from 0 to 0.2, half its parent
        [0.0, 0.2, 0.5]
    """
    leaves, whole = len(shapes.merges) + 1, shapes.areas[-1]
    made_at = np.concatenate([np.zeros(leaves), shapes.heights.astype(float)])
    parents = shapes.parents
    ends_at = np.where(parents >= 0, made_at[parents], made_at)
    length = np.maximum(shapes.outlines[:, 0], 1)
    return np.stack(
        [
            np.log10(shapes.areas / whole) / 4,
            made_at,
            ends_at,
            np.sqrt(np.maximum(ends_at - made_at, 0)),
            np.clip(shapes.outlines[:, 1] / length, 0, 1),
            np.minimum(np.sqrt(4 * np.pi * shapes.areas) / length, 1),
            np.where(parents >= 0, shapes.areas / shapes.areas[parents], 1),
        ],
        axis=1,
    )


def polynomial(features: Float64[np.ndarray, "n f"]) -> Float64[np.ndarray, "n t"]:
    """Return 1, the features, and all products of two features.

    Example:
        >>> polynomial(np.array([[2.0, 3.0]])).tolist()  # 1, a, b, a a, a b, b b
        [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    first, second = np.triu_indices(features.shape[1])
    return np.concatenate(
        [np.ones((len(features), 1)), features, features[:, first] * features[:, second]], axis=1
    )


def node_ranks(shapes: NodeShapes, weights: tuple[float, ...]) -> Float32[np.ndarray, " n"]:
    """Return the rank of each node; nodes that are nearly a better one come after all others.

    `weights` has one weight for each term of `polynomial`. Raises ValueError for another number of
    weights.

    Example:
        >>> shapes = NodeShapes(  # leaves 0, 1, 2; node 3 joins 0 and 1, node 4 is the whole image
        ...     merges=np.array([[0, 1], [2, 3]]),
        ...     heights=np.array([0.2, 0.8], np.float32),
        ...     areas=np.array([10.0, 10.0, 20.0, 20.0, 40.0]),
        ...     outlines=np.array([[8.0, 4.0], [8.0, 4.0], [5.0, 4.0], [5.0, 4.0], [0.0, 0.0]]),
        ... )
        >>> weights = (1.0, *[0.0] * 35)  # of the polynomial of seven features: a constant
        >>> ranks = node_ranks(shapes, weights)
        >>> ranks.argsort()[::-1].tolist()[:2]  # the two nodes that persist longest
        [2, 3]
    """
    terms = polynomial(node_features(shapes))
    if terms.shape[1] != len(weights):
        raise ValueError(f"ranking has {terms.shape[1]} weights; got {len(weights)}")
    expected = np.maximum(terms @ np.array(weights), LEAST)
    persistence = terms[:, 1 + ROOT_OF_PERSISTENCE] ** 2
    stands_out = persistence * np.sqrt(shapes.areas / shapes.areas[-1])
    ranks = (expected * stands_out**POWER).astype(np.float32)
    return np.where(_is_best_of_chain(shapes, ranks), ranks, ranks * DEMOTED)


def _is_best_of_chain(
    shapes: NodeShapes, ranks: Float32[np.ndarray, " n"], *, alike: float = 0.85
) -> np.ndarray:
    """Return which nodes have the highest rank in their chain of nearly equal nodes.

    A node belongs to the chain of its parent if it has at least the share `alike` of its area,
    which is their IoU.
    """
    parents = shapes.parents
    number = len(ranks)
    joined = (parents >= 0) & (shapes.areas >= alike * shapes.areas[parents])
    chain = np.arange(number)
    for node in range(number - 2, -1, -1):  # parents come after their children
        if joined[node]:
            chain[node] = chain[parents[node]]
    best = np.full(number, -np.inf, np.float32)
    np.maximum.at(best, chain, ranks)
    first = np.full(number, number, np.int64)
    has_best = ranks == best[chain]
    np.minimum.at(first, chain[has_best], np.flatnonzero(has_best))
    return first[chain] == np.arange(number)


def fit_ranking(
    features: Float64[np.ndarray, "n f"],
    quality: Float64[np.ndarray, " n"],
    *,
    weights: Float64[np.ndarray, " n"] | None = None,
    penalty: float = 1e-3,
) -> tuple[float, ...]:
    """Return the weights with which the polynomial fits the quality of nodes by least squares.

    Args:
        features: `node_features` of the nodes.
        quality: best IoU of each node with a true region.
        weights: weight of each node (default None: all equal).
        penalty: ridge, as a share of the mean square of a term (default 0.001).

    Example:
        >>> features = np.random.default_rng(0).uniform(-1, 1, (200, 2))
        >>> quality = 0.5 + 0.3 * features[:, 0]
        >>> weights = fit_ranking(features, quality, penalty=1e-9)
        >>> bool(np.allclose(polynomial(features) @ np.array(weights), quality, atol=1e-6))
        True
    """
    terms = polynomial(features)
    weights = np.ones(len(terms)) if weights is None else weights
    scaled = terms * weights[:, None]
    normal = scaled.T @ terms
    ridge = penalty * np.diag(normal).mean() * np.eye(len(normal))
    return tuple(np.linalg.solve(normal + ridge, scaled.T @ quality).tolist())
