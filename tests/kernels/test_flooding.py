"""Flooding against a plain loop over all edges, cheapest first."""

import numpy as np
import pytest

from maskspace.kernels.flooding import flood


def flooded(right, down, seeds, away=(0,)):
    labels = np.zeros(right.shape[0] * down.shape[1], np.int32)
    flood(
        right.astype(np.int32),
        down.astype(np.int32),
        np.array(away, np.int32),
        np.array(seeds, np.int64),
        labels,
    )
    return labels.reshape(right.shape[0], down.shape[1])


def forest(right, down, seeds):
    """Return the spanning forest's regions: edges by cost, none that would join two seeds."""
    height, width = right.shape[0], down.shape[1]
    edges = [(c, y * width + x, y * width + x + 1) for (y, x), c in np.ndenumerate(right)]
    edges += [(c, y * width + x, (y + 1) * width + x) for (y, x), c in np.ndenumerate(down)]
    group = np.arange(height * width)
    seed_of = {int(p): k for k, p in enumerate(seeds, start=1)}
    for _, p, q in sorted(edges):
        a, b = group[p], group[q]
        if a != b and not (a in seed_of and b in seed_of):
            kept, gone = (a, b) if a in seed_of else (b, a)
            group[group == gone] = kept
    return np.array([seed_of[int(g)] for g in group]).reshape(height, width)


@pytest.mark.parametrize("case", range(5))
def test_it_is_the_minimum_spanning_forest(case):
    rng = np.random.default_rng(case)
    height, width = 9, 7
    costs = rng.permutation(height * (width - 1) + (height - 1) * width)  # no two are equal
    right = costs[: height * (width - 1)].reshape(height, width - 1)
    down = costs[height * (width - 1) :].reshape(height - 1, width)
    seeds = rng.choice(height * width, 6, replace=False)
    assert np.array_equal(flooded(right, down, seeds), forest(right, down, seeds))


def test_equal_costs_give_the_nearest_seed():
    labels = flooded(np.zeros((9, 8)), np.zeros((8, 9)), [0, 80])
    rows, columns = np.indices((9, 9))
    steps = rows + columns
    assert (labels[steps < 8] == 1).all() and (labels[steps > 8] == 2).all()


def test_distance_holds_back():
    right, down = np.zeros((1, 8)), np.zeros((0, 9))
    right[0, 3] = 5  # a step that the further seed would not take for nothing
    assert (flooded(right, down, [0, 8])[0] == [1, 1, 1, 1, 2, 2, 2, 2, 2]).all()
    right[0, 3], right[0, 6] = 5, 4
    near = flooded(right, down, [0, 8], away=np.arange(9) * 3)
    assert (near[0, 1:4] == 1).all() and near[0, 7] == 2
