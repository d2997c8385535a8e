"""A largest one-to-one matching of the pixels of two maps; partners lie within a reach.

Input: pixels of the first map; a map with the number of each pixel of the second; the steps to all
    places within reach, the nearest first.
Idea: augmenting paths (Kuhn 1955). A pixel that has a partner never loses it. So the pixels that
    come first get partners wherever that is possible.
Steps: sort the pixels by their distance to the second map. From each pixel, search breadth first
    for a free pixel of the second map; the way leads over taken pixels and their owners. Exchange
    partners along the way. If there is none, all pixels that were seen are closed for every later
    search.
Cost: all failing searches together look at each step of each pixel once. A search that succeeds
    ends at the nearest free pixel, which is a few steps away where boundaries are thin.
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
    """Write the number of each pixel's partner, -1 for none.

    Pixels nearest to the second map come first; equally near ones in the order given.

    Args:
        pixels: rows and columns of the first map's pixels.
        numbers: number of each pixel of the second map, from 0; -1 elsewhere.
        steps: rows and columns of the steps within reach, the nearest first.
        partners: receives the partners.

    Example:
        >>> numbers = np.array([[-1, 0, -1]], np.int32)
        >>> partners = np.zeros(2, np.int64)
        >>> match_pixels(np.array([[0, 0], [0, 1]]), numbers, np.array([[0, 0], [0, 1]]), partners)
        >>> partners.tolist()  # both reach the only pixel, and the second stands on it
        [-1, 0]
    """
    height, width = numbers.shape
    num_second = numbers.max() + 1
    owner = np.full(num_second, -1, np.int64)  # of each pixel of the second map
    seen_by = np.zeros(num_second, np.int64)  # by the search of this number
    via = np.empty(num_second, np.int64)
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
                if seen_by[number] == first + 1 or seen_by[number] == closed:
                    continue
                seen_by[number], via[number] = first + 1, asking
                if owner[number] < 0:
                    free = number
                    break
                queue[end] = owner[number]
                end += 1
        if free < 0:
            for place in range(1, end):
                seen_by[partners[queue[place]]] = closed
        while free >= 0:
            asking = via[free]
            owner[free], partners[asking], free = asking, free, partners[asking]
