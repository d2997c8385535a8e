"""Distances by small steps, for many masks at once, for the simulated clicks of training.

G. Borgefors, Distance transformations in digital images (1986, 10.1016/S0734-189X(86)80047-0), with
the 5 x 5 neighbourhood and the steps that OpenCV takes for Euclidean distance: 1 along an axis, 1.4
along a diagonal, 2.1969 for a knight's move.

Input: masks of one size.
Idea: a shortest path may take its steps in any order, so the steps along rows come first.
Steps: for each pixel the distance to the nearer end of its run; then a sweep down and a sweep up
    over the rows, in which no pixel waits for another one of its row.
Cost: a few vector operations a row, for all masks together. Distances are whole ten-thousandths:
    they are exact, where sums of float32 would depend on their order.
"""

import numpy as np
from jaxtyping import Bool, Int32

#: A pixel's side in the units of the distances.
UNIT = 10_000
STRAIGHT, DIAGONAL, KNIGHT = 10_000, 14_000, 21_969


def chamfer_depth(masks: Bool[np.ndarray, "n h w"]) -> Int32[np.ndarray, "n h w"]:
    """Return each pixel's chamfer distance to the nearest pixel outside, times UNIT; 0 outside.

    Everything beyond the border of the image is outside.

    Example:
        >>> chamfer_depth(np.ones((1, 3, 3), bool))[0].tolist()
        [[10000, 10000, 10000], [10000, 20000, 10000], [10000, 10000, 10000]]
    """
    # a step reaches two pixels far; padded so, equal rows of all the masks are one long row
    padded = np.pad(masks.transpose(1, 0, 2), ((2, 2), (0, 0), (2, 2)))
    depths = np.zeros(padded.shape, np.int32)
    rows = depths.reshape(len(depths), -1)
    for row, inside in zip(rows, padded.reshape(rows.shape), strict=True):
        _step_along(row, inside)
    for sweep in (rows, rows[::-1]):
        for second, before, here in zip(sweep[:-4], sweep[1:-3], sweep[2:-2], strict=True):
            _step_across(second, before, here)
    return depths[2:-2, :, 2:-2].transpose(1, 0, 2)


def _step_along(row: Int32[np.ndarray, " p"], mask: Bool[np.ndarray, " p"]) -> None:
    """Set the pixels inside to the distance to the nearer end of their run."""
    turns = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    starts, ends = turns[::2], turns[1::2]
    inside = np.flatnonzero(mask)
    to_start = inside - np.repeat(starts - 1, ends - starts)
    to_end = np.repeat(ends, ends - starts) - inside
    row[inside] = STRAIGHT * np.minimum(to_start, to_end)


def _step_across(
    second: Int32[np.ndarray, " p"], before: Int32[np.ndarray, " p"], here: Int32[np.ndarray, " p"]
) -> None:
    """Lower a row to one step from the row before it, or from the second row before it."""
    knight = np.minimum(before[:-4], before[4:])
    np.minimum(knight, second[1:-3], out=knight)
    np.minimum(knight, second[3:-1], out=knight)
    knight += KNIGHT
    diagonal = np.minimum(before[1:-3], before[3:-1])
    diagonal += DIAGONAL
    np.minimum(knight, diagonal, out=knight)
    np.add(before[2:-2], STRAIGHT, out=diagonal)
    np.minimum(knight, diagonal, out=knight)
    np.minimum(here[2:-2], knight, out=here[2:-2])
