"""Means and spreads of the features of every region of a label map.

Input: the region of each pixel, and a feature a cell, with the cell of each row and column.
Idea: two passes, as the difference of two large sums would lose the digits of a small spread.
Steps: sum the feature over each region; divide; sum the squared deviations from the mean.
Cost: twice the pixels; no copy of the feature at the size of the pixels.
"""

import numpy as np
from jaxtyping import Float, Float64, Int32, Int64

from maskspace.kernels.compiled import compiled


@compiled
def region_moments(
    labels: Int32[np.ndarray, "h w"],
    feature: Float[np.ndarray, "i j"],
    rows: Int64[np.ndarray, " h"],
    columns: Int64[np.ndarray, " w"],
    areas: Int64[np.ndarray, " k"],
    means: Float64[np.ndarray, " k"],
    squares: Float64[np.ndarray, " k"],
) -> None:
    """Write the mean of each of the regions 1..k, and add its squared deviations to `squares`.

    Example:
        >>> labels, feature = np.array([[1, 1, 2]], np.int32), np.array([[0.0, 2.0, 5.0]])
        >>> means, squares = np.zeros(2), np.zeros(2)
        >>> places = np.arange(1), np.arange(3)
        >>> region_moments(labels, feature, *places, np.array([2, 1]), means, squares)
        >>> means.tolist(), squares.tolist()
        ([1.0, 5.0], [2.0, 0.0])
    """
    height, width = labels.shape
    means[:] = 0
    for y in range(height):
        row = rows[y]
        for x in range(width):
            means[labels[y, x] - 1] += feature[row, columns[x]]
    for region in range(len(areas)):
        means[region] /= areas[region]
    for y in range(height):
        row = rows[y]
        for x in range(width):
            region = labels[y, x] - 1
            away = feature[row, columns[x]] - means[region]
            squares[region] += away * away
