"""The pixel with the lowest value in each cell of a grid.

Input: a value for each pixel, the cell of each row and of each column, and their distances from the
    cell's centre.
Idea: one pass over the pixels; each is compared with the best pixel of its cell so far.
Steps: for every pixel, compare the values, then the squared distances from the centre; of equal
    ones the first in row-major order stays.
Cost: linear in the pixels.
"""

import numpy as np
from jaxtyping import Float, Float64, Int64

from maskspace.kernels.compiled import compiled


@compiled
def cell_minima(
    values: Float[np.ndarray, "h w"],
    row_cells: Int64[np.ndarray, " h"],
    column_cells: Int64[np.ndarray, " w"],
    off_rows: Float64[np.ndarray, " h"],
    off_columns: Float64[np.ndarray, " w"],
    least: Int64[np.ndarray, "r c"],
) -> None:
    """Write the flat index of the pixel with the lowest value of each cell.

    Args:
        values: the value of each pixel.
        row_cells: row of the grid for each row of pixels.
        column_cells: column of the grid for each column of pixels.
        off_rows: distance of each row of pixels from the centre of its cell.
        off_columns: distance of each column of pixels from the centre of its cell.
        least: receives the indices; it must be -1 everywhere before.

    Example:
        >>> values = np.array([[3.0, 1.0, 2.0, 2.0]])
        >>> rows, columns = np.array([0]), np.array([0, 0, 1, 1])  # two cells of two pixels each
        >>> least = np.full((1, 2), -1)
        >>> cell_minima(values, rows, columns, np.zeros(1), np.array([-0.5, 0.5, -0.5, 0.5]), least)
        >>> least.tolist()  # of two equal values the first
        [[1, 2]]
    """
    width = values.shape[1]
    for row in range(values.shape[0]):
        for column in range(width):
            cell = row_cells[row], column_cells[column]
            best = least[cell]
            if best >= 0:
                other_row, other_column = best // width, best % width
                value, other = values[row, column], values[other_row, other_column]
                if value > other:
                    continue
                away = off_rows[row] ** 2 + off_columns[column] ** 2
                if value == other and away >= (
                    off_rows[other_row] ** 2 + off_columns[other_column] ** 2
                ):
                    continue
            least[cell] = row * width + column
