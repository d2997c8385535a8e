import numpy as np
import pytest

from maskspace.kernels.cell_minima import cell_minima


@pytest.mark.parametrize("levels", [2, 1000])
def test_it_is_the_least_then_the_most_central_then_the_first(levels):
    rng = np.random.default_rng(levels)
    values = rng.integers(0, levels, (11, 13)).astype(np.float32)
    rows, columns = np.arange(11) * 3 // 11, np.arange(13) * 4 // 13
    off = [
        np.array([i - np.flatnonzero(cells == cells[i]).mean() for i in range(len(cells))])
        for cells in (rows, columns)
    ]
    found = np.full((3, 4), -1)
    cell_minima(values, rows, columns, *off, found)
    for cell in np.ndindex(3, 4):
        inside = [
            (values[y, x], off[0][y] ** 2 + off[1][x] ** 2, y * 13 + x)
            for y, x in np.ndindex(11, 13)
            if (rows[y], columns[x]) == cell
        ]
        assert found[cell] == min(inside)[2]
