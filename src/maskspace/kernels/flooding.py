"""Flood an image from seeds: each pixel goes to the seed that reaches it across the lowest edge.

Input: the cost of a step from each pixel to its right and to its lower neighbour, and the seeds.
Idea: Prim's algorithm for the minimum spanning forest with the seeds as roots. Costs are whole
    numbers of a small range, so that a list for each cost (a bucket) replaces the heap. A bucket is
    a queue: across equal costs all regions grow at the same speed.
Steps: put the neighbours of all seeds into buckets; take the first entry of the lowest bucket;
    label its pixel; put the pixel's neighbours into buckets; repeat.
Cost: linear in the pixels and the buckets; a pixel enters at most four times. The memory of an
    entry that was taken is used again, so that only the front takes memory.
"""

import numpy as np
from jaxtyping import Int32, Int64

from maskspace.kernels.compiled import compiled


@compiled
def flood(
    right: Int32[np.ndarray, "h w_minus_1"],
    down: Int32[np.ndarray, "h_minus_1 w"],
    away: Int32[np.ndarray, " q"],
    seeds: Int64[np.ndarray, " k"],
    labels: Int32[np.ndarray, " p"],
) -> None:
    """Write the seed of each pixel, from 1, into `labels`.

    Args:
        right: cost of a step from a pixel to its right neighbour.
        down: cost of a step from a pixel to its lower neighbour.
        away: `away[n]` is added to the cost of a step to a pixel n pixels (rounded) from the seed;
            it must not fall, and its last value holds for all larger distances.
        seeds: flat indices of the seeds.
        labels: receives the labels; it must be 0 everywhere before.

    Example:
        >>> right = np.array([[1, 9, 1]], np.int32)  # a strong edge in the middle of four pixels
        >>> down, away = np.zeros((0, 4), np.int32), np.zeros(1, np.int32)
        >>> labels = np.zeros(4, np.int32)
        >>> flood(right, down, away, np.array([0, 3]), labels)
        >>> labels.tolist()
        [1, 1, 2, 2]
    """
    height, width = right.shape[0], down.shape[1]
    buckets = max(right.max() if right.size else 0, down.max() if down.size else 0)
    buckets += away[-1] + 1
    first = np.full(buckets, -1, np.int32)
    last = np.full(buckets, -1, np.int32)
    size = 4 * labels.size
    follower, pixel_of, label_of = (
        np.empty(size, np.int32),
        np.empty(size, np.int32),
        np.empty(size, np.int32),
    )
    num_entries, lowest, free = 0, buckets, np.int32(-1)
    for label in range(1, len(seeds) + 1):
        labels[seeds[label - 1]] = label
    waiting = len(seeds)  # the seeds themselves go first, in their order
    num_started = 0
    while True:
        if num_started < waiting:
            pixel, label = seeds[num_started], np.int32(num_started + 1)
            num_started += 1
        else:
            while lowest < buckets and first[lowest] < 0:
                lowest += 1
            if lowest == buckets:
                break
            entry = first[lowest]
            first[lowest] = follower[entry]
            pixel, label = np.int64(pixel_of[entry]), label_of[entry]
            follower[entry], free = free, entry
            if labels[pixel]:
                continue
            labels[pixel] = label
        row, column = pixel // width, pixel % width
        seed_row, seed_column = seeds[label - 1] // width, seeds[label - 1] % width
        for direction in range(4):
            if direction == 0 and column + 1 < width:
                other, cost = pixel + 1, right[row, column]
            elif direction == 1 and row + 1 < height:
                other, cost = pixel + width, down[row, column]
            elif direction == 2 and column:
                other, cost = pixel - 1, right[row, column - 1]
            elif direction == 3 and row:
                other, cost = pixel - width, down[row - 1, column]
            else:
                continue
            if labels[other]:
                continue
            rows, columns = other // width - seed_row, other % width - seed_column
            distance = int(np.sqrt(rows * rows + columns * columns) + 0.5)
            cost += away[min(distance, len(away) - 1)]
            if free >= 0:
                entry, free = free, follower[free]
            else:
                entry, num_entries = np.int32(num_entries), num_entries + 1
            pixel_of[entry], label_of[entry], follower[entry] = other, label, -1
            if first[cost] < 0:
                first[cost] = entry
            else:
                follower[last[cost]] = entry
            last[cost] = entry
            lowest = min(lowest, cost)
