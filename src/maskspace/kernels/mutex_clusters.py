"""The mutex watershed: clusters of signed edges (Wolf et al. 2018, ECCV, algorithm 1).

Input: edges between nodes, the strongest first, with weights above 0 (attract) or below (repel).
Idea: Kruskal's trees; two trees that a repelling edge keeps apart are never joined.
Steps: find the roots of an edge's two nodes. A repelling edge notes the pair of roots. An
    attracting edge joins them, unless the pair is noted; the shorter list of notes moves over.
Cost: near linear in the edges; a note moves at most a logarithm of times.
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
    """Return the cluster of each node, numbered from 1.

    Pairs of roots that are kept apart are noted in a hash table, and in a list of each root. When
    two roots are joined, the one with the shorter list hands its notes to the other. Notes under
    the old root stay in the table; they are never looked up again.

    Args:
        first: one node of each edge, the strongest edge first.
        second: the other node of each edge.
        weight: above 0 for an attracting edge, below for a repelling one.
        nodes: number of nodes.

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
    num_notes, num_stored = 0, 0
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
            num_stored += 1
            for root, other in ((a, b), (b, a)):
                value[num_notes], following[num_notes] = other, head[root]
                head[root] = num_notes
                length[root] += 1
                num_notes += 1
        else:
            short, long = (a, b) if length[a] <= length[b] else (b, a)
            parent[short] = long
            note = head[short]
            while note != -1:
                next_note = following[note]
                pair = _pair(long, _root(parent, int(value[note])), nodes)
                slot = _slot(table, pair)
                if table[slot] == -1:
                    table[slot] = pair
                    num_stored += 1
                    following[note] = head[long]
                    head[long] = note
                    length[long] += 1
                note = next_note
                if 2 * num_stored > len(table):
                    table, num_stored = _larger(table, parent, nodes)
        if 2 * num_stored > len(table):
            table, num_stored = _larger(table, parent, nodes)
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
    """Return the root of a node; halve the path to it."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def _pair(a: int, b: int, nodes: int) -> int:
    return min(a, b) * nodes + max(a, b)


@compiled
def _slot(table: Int64[np.ndarray, " s"], pair: int) -> int:
    """Return the place of a pair, or the empty place where it belongs; the size is a power of 2."""
    mixed = pair * -7046029254386353131  # the golden ratio of 64 bits
    place = (mixed ^ (mixed >> 32)) & (len(table) - 1)
    while table[place] != -1 and table[place] != pair:
        place = (place + 1) & (len(table) - 1)
    return place


@compiled
def _larger(
    table: Int64[np.ndarray, " s"], parent: Int64[np.ndarray, " n"], nodes: int
) -> tuple[Int64[np.ndarray, " t"], int]:
    """Return a table four times as large with the pairs of present roots, and their number."""
    larger, num_stored = np.full(4 * len(table), -1), 0
    for pair in table:
        if pair != -1:
            a, b = pair // nodes, pair % nodes
            if parent[a] == a and parent[b] == b:
                larger[_slot(larger, pair)] = pair
                num_stored += 1
    return larger, num_stored
