"""Regions merged two at a time across their weakest border.

Input: pairs of adjacent regions, the length of their border and the sum of its strength, and the
    area and the mean vector of each region.
Idea: average linkage: the strength of a border is a mean along it. When regions A and B join, their
    two borders with a common neighbour become one: lengths and sums add up. A heap orders the
    borders by cost and knows the place of each.
Steps: take the cheapest border from the heap; join its regions; add up the borders with common
    neighbours; compute the cost of every border of the joined region anew. The borders of a region
    form a linked list of ends, where border e has the ends 2 e and 2 e + 1; so two lists are joined
    in one step.
Cost: a change of the heap takes log n; a merge makes as many changes as the joined region has
    neighbours.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int64

from maskspace.kernels.compiled import compiled


@compiled
def _cost(
    border: int,
    one: int,
    other: int,
    lengths: Float64[np.ndarray, " e"],
    sums: Float64[np.ndarray, " e"],
    areas: Float64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n c"],
    weights: Float64[np.ndarray, " w"],
) -> float:
    """Return the cost of two regions: the equation at the head of partition/border_tree."""
    distance = 0.0
    for channel in range(vectors.shape[1]):
        distance += abs(vectors[one, channel] - vectors[other, channel])
    smaller = min(areas[one], areas[other])
    mixed = weights[0] * sums[border] / lengths[border] + weights[1] * min(distance, 1.0)
    return mixed * (smaller / (smaller + weights[2])) ** weights[3]


@compiled
def _sift(
    place: int,
    heap: Int64[np.ndarray, " e"],
    size: int,
    places: Int64[np.ndarray, " e"],
    costs: Float64[np.ndarray, " e"],
) -> None:
    """Move a border up or down until the heap is one; of equal costs the lower number is first."""
    border = heap[place]
    cost = costs[border]
    while place:
        above = heap[(place - 1) // 2]
        if costs[above] < cost or (costs[above] == cost and above < border):
            break
        heap[place], places[above] = above, place
        place = (place - 1) // 2
    while 2 * place + 1 < size:
        child = 2 * place + 1
        below = heap[child]
        if child + 1 < size:
            right = heap[child + 1]
            if costs[right] < costs[below] or (costs[right] == costs[below] and right < below):
                child, below = child + 1, right
        if cost < costs[below] or (cost == costs[below] and border < below):
            break
        heap[place], places[below] = below, place
        place = child
    heap[place], places[border] = border, place


@compiled
def _drop(
    border: int,
    heap: Int64[np.ndarray, " e"],
    size: int,
    places: Int64[np.ndarray, " e"],
    costs: Float64[np.ndarray, " e"],
) -> None:
    """Take a border out of a heap of `size`: the last one takes its place."""
    place, last = places[border], heap[size - 1]
    places[border] = -1
    if last != border:
        heap[place], places[last] = last, place
        _sift(place, heap, size - 1, places, costs)


@compiled
def border_merges(
    pairs: Int64[np.ndarray, "e 2"],
    lengths: Float64[np.ndarray, " e"],
    sums: Float64[np.ndarray, " e"],
    areas: Float64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n c"],
    outlines: Float64[np.ndarray, "n 2"],
    weights: Float64[np.ndarray, " w"],
    merges: Int64[np.ndarray, "m 2"],
    heights: Float64[np.ndarray, " m"],
) -> None:
    """Write the merges in order, and the cost of each.

    All leaves must be connected.

    Args:
        pairs: the two regions of each border; changed.
        lengths: length of each border; changed.
        sums: sum of the strength along each border; changed.
        areas: pixels of each leaf, then room for the nodes that are made.
        vectors: mean vector of each leaf, then room for the nodes.
        outlines: length and summed strength of all borders of each leaf, then room for the nodes.
        weights: the numbers of the rule, see `partition/border_tree`.
        merges: receives the two nodes of each merge, the lower number first.
        heights: receives the cost of each merge.

    Example:
        >>> pairs, lengths = np.array([[0, 1], [1, 2]]), np.ones(2)  # three regions in a row
        >>> sums = np.array([0.1, 0.9])  # the border of 0 and 1 is the weaker one
        >>> areas, vectors = np.array([4.0, 4, 4, 0, 0]), np.zeros((5, 1), np.float32)
        >>> merges, heights = np.zeros((2, 2), np.int64), np.zeros(2)
        >>> rule = np.array([1.0, 0.0, 0.0, 1.0])
        >>> border_merges(
        ...     pairs, lengths, sums, areas, vectors, np.zeros((5, 2)), rule, merges, heights)
        >>> merges.tolist(), heights.tolist()  # node 3 is 0 with 1
        ([[0, 1], [2, 3]], [0.1, 0.9])
    """
    leaves, size = len(merges) + 1, len(pairs)
    ends = pairs.reshape(-1)  # the region at each end of a border
    follower = np.full(2 * size, -1, np.int64)
    first = np.full(len(areas), -1, np.int64)
    last = np.full(len(areas), -1, np.int64)
    for end in range(2 * size):
        region = ends[end]
        if first[region] < 0:
            first[region] = end
        else:
            follower[last[region]] = end
        last[region] = end
    costs = np.empty(size)
    heap, places = np.arange(size), np.arange(size)
    for border in range(size):
        costs[border] = _cost(
            border, ends[2 * border], ends[2 * border + 1], lengths, sums, areas, vectors, weights
        )
    for place in range(size):
        _sift(place, heap, place + 1, places, costs)
    shared = np.full(len(areas), -1, np.int64)  # the border with each neighbour, during a merge
    for merge in range(leaves - 1):
        cheapest = heap[0]
        one, other = ends[2 * cheapest], ends[2 * cheapest + 1]
        node = leaves + merge
        merges[merge, 0], merges[merge, 1] = min(one, other), max(one, other)
        heights[merge] = costs[cheapest]
        _drop(cheapest, heap, size, places, costs)
        size -= 1
        areas[node] = areas[one] + areas[other]
        shared_border = (lengths[cheapest], sums[cheapest])
        for part in range(2):
            outlines[node, part] = (
                outlines[one, part] + outlines[other, part] - 2 * shared_border[part]
            )
        for channel in range(vectors.shape[1]):
            vectors[node, channel] = (
                areas[one] * vectors[one, channel] + areas[other] * vectors[other, channel]
            ) / areas[node]
        follower[last[one]] = first[other]
        end, before = first[one], np.int64(-1)
        while end >= 0:
            border, after = end // 2, follower[end]
            neighbour = ends[end ^ 1]
            if places[border] >= 0 and shared[neighbour] >= 0:
                kept_border = shared[neighbour]
                lengths[kept_border] += lengths[border]
                sums[kept_border] += sums[border]
                _drop(int(border), heap, size, places, costs)
                size -= 1
            elif places[border] >= 0:
                shared[neighbour], ends[end] = border, node
                if before < 0:
                    first[node] = end
                else:
                    follower[before] = end
                before = end
            end = after
        last[node] = before
        if before >= 0:
            follower[before] = -1
        end = first[node]
        while end >= 0:
            border, neighbour = end // 2, ends[end ^ 1]
            shared[neighbour] = -1
            costs[border] = _cost(
                int(border), node, int(neighbour), lengths, sums, areas, vectors, weights
            )
            _sift(int(places[border]), heap, size, places, costs)
            end = follower[end]
