"""A largest one-to-one matching of the pixels of two maps, no two partners farther than a reach.

Input: pixels of the first map, the map that numbers those of the second, and the steps to whatever
lies within reach, the nearest first.
Idea: augmenting paths (Kuhn 1955). A pixel that has a partner never loses it, so that of all sets
of pixels that can have partners at once, that of the pixels which come first is found.
Steps: sort the pixels by how near the second map is. From each search by breadth for a free pixel
there, by way of taken ones and their owners; exchange partners along the way. Where there is none,
all that was seen has none for anybody later either, and is never looked at again.
Cost: failing searches look at each step of each pixel once, all together; one that succeeds ends
at the nearest free pixel, which is a few steps away where boundaries are thin.
"""

import numpy as np
from jaxtyping import Int32, Int64

from maskspace.kernels.compiled import compiled


@compiled
def _distances(
    pixels: Int64[np.ndarray, "n 2"],
    numbers: Int32[np.ndarray, "h w"],
    steps: Int64[np.ndarray, "k 2"],
) -> Int64[np.ndarray, " n"]:
    """Return the squared distance of each pixel to the second map, or that of the last step."""
    height, width = numbers.shape
    squares = np.empty(len(pixels), np.int64)
    for index in range(len(pixels)):
        for step in range(len(steps)):
            squares[index] = steps[step, 0] ** 2 + steps[step, 1] ** 2
            y, x = pixels[index, 0] + steps[step, 0], pixels[index, 1] + steps[step, 1]
            if 0 <= y < height and 0 <= x < width and numbers[y, x] >= 0:
                break
    return squares


@compiled
def match_pixels(
    pixels: Int64[np.ndarray, "n 2"],
    numbers: Int32[np.ndarray, "h w"],
    steps: Int64[np.ndarray, "k 2"],
    partners: Int64[np.ndarray, " n"],
) -> None:
    """Write the number of each pixel's partner, -1 where it has none.

    `pixels` are rows and columns; `numbers` counts the second map's from 0 and is -1 elsewhere.
    Pixels nearest to the second map come first, equally near ones in the order given.

    Example:
        >>> numbers = np.array([[-1, 0, -1]], np.int32)
        >>> partners = np.zeros(2, np.int64)
        >>> match_pixels(np.array([[0, 0], [0, 1]]), numbers, np.array([[0, 0], [0, 1]]), partners)
        >>> partners.tolist()  # both reach the only pixel, and the second stands on it
        [-1, 0]
    """
    height, width = numbers.shape
    most = numbers.max() + 1
    owner = np.full(most, -1, np.int64)  # of each pixel of the second map
    seen = np.zeros(most, np.int64)  # by the search of this number
    via = np.empty(most, np.int64)
    queue = np.empty(len(pixels), np.int64)
    closed = len(pixels) + 1  # seen by a search that failed
    partners[:] = -1
    for first in np.argsort(_distances(pixels, numbers, steps), kind="mergesort"):
        queue[0], begin, end, free = first, 0, 1, -1
        while begin < end and free < 0:
            asking = queue[begin]
            begin += 1
            for step in range(len(steps)):
                y, x = pixels[asking, 0] + steps[step, 0], pixels[asking, 1] + steps[step, 1]
                if y < 0 or x < 0 or y >= height or x >= width or numbers[y, x] < 0:
                    continue
                number = numbers[y, x]
                if seen[number] == first + 1 or seen[number] == closed:
                    continue
                seen[number], via[number] = first + 1, asking
                if owner[number] < 0:
                    free = number
                    break
                queue[end] = owner[number]
                end += 1
        if free < 0:
            for place in range(1, end):
                seen[partners[queue[place]]] = closed
        while free >= 0:
            asking = via[free]
            owner[free], partners[asking], free = asking, free, partners[asking]
