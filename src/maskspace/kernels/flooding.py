"""Flooding of an image from seeds: each pixel goes to the seed that reaches it over the least edge.

Input: what it costs to step from each pixel to the one on the right and the one below, and seeds.
Idea: Prim's algorithm for the minimum spanning forest rooted at the seeds; costs are whole numbers
of a small range, so that a list a cost (a bucket) replaces the heap. In a bucket the first to come
is the first to go: where costs are equal, regions grow at one speed.
Steps: put the neighbours of all seeds into buckets; take from the lowest; label and go on.
Cost: linear in the pixels and the buckets; every pixel is put in at most four times. The place of
an entry that was taken out is used again, so that memory is touched for the front alone.
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
    """Write the seed of each pixel, from 1, into `labels`, zeros at first.

    `away[n]` is added to the cost of a step to a pixel that is n pixels, rounded, from the seed; it
    does not fall, and its last value holds for all that are further.

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
    number, lowest, free = 0, buckets, np.int32(-1)
    for label in range(1, len(seeds) + 1):
        labels[seeds[label - 1]] = label
    waiting = len(seeds)  # the seeds themselves go first, in their order
    at = 0
    while True:
        if at < waiting:
            pixel, label = seeds[at], np.int32(at + 1)
            at += 1
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
                entry, number = np.int32(number), number + 1
            pixel_of[entry], label_of[entry], follower[entry] = other, label, -1
            if first[cost] < 0:
                first[cost] = entry
            else:
                follower[last[cost]] = entry
            last[cost] = entry
            lowest = min(lowest, cost)
