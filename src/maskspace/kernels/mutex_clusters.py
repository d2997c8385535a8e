"""The mutex watershed's clusters of signed edges (Wolf et al. 2018, ECCV, algorithm 1).

Input: edges between nodes, strongest first, of weights above 0 (attract) and below (repel).
Idea: Kruskal's trees, where two trees that an edge has forbidden to join are never joined.
Steps: find the roots of an edge's nodes; an edge that repels writes the pair of roots down; one
    that attracts joins them unless their pair is written down, and the smaller list moves over.
Cost: near linear in the edges; each pair moves at most a logarithm of times.
"""

import numpy as np
from jaxtyping import Float, Int32, Int64

from maskspace.kernels.compiled import compiled


@compiled
def mutex_clusters(
    first: Int32[np.ndarray, " e"],
    second: Int32[np.ndarray, " e"],
    weight: Float[np.ndarray, " e"],
    nodes: int,
) -> Int64[np.ndarray, " n"]:
    """Return the cluster of each node, numbered from 1, of edges that come strongest first.

    Pairs of roots that are kept apart are in a hash table, and each root has a list of its own; of
    two that are joined the one of the shorter list gives its pairs to the other, and those that
    still have its name are never asked for again.

    Example:
        >>> first, second = np.array([0, 1, 0], np.int32), np.array([1, 2, 2], np.int32)
        >>> mutex_clusters(first, second, np.array([0.9, -0.8, 0.5]), 3).tolist()
        [1, 1, 2]
        >>> mutex_clusters(first, second, np.array([0.9, 0.8, -0.5]), 3).tolist()
        [1, 1, 1]
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
