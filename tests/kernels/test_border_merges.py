"""Average linkage against a loop that costs every pair of regions anew at each merge."""

import numpy as np
import pytest

from maskspace.kernels.border_merges import border_merges


def grid_graph(rng, rows, columns):
    index = np.arange(rows * columns).reshape(rows, columns)
    pairs = np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], 1),
            np.stack([index[:-1].ravel(), index[1:].ravel()], 1),
        ]
    )
    lengths = rng.integers(1, 9, len(pairs)).astype(float)
    return pairs, lengths, lengths * rng.random(len(pairs))


def naive(pairs, lengths, sums, areas, vectors, weights):
    leaves = len(areas)
    members = {k: [k] for k in range(leaves)}
    merges, heights = [], []
    while len(members) > 1:
        found = []
        for a in members:
            for b in members:
                across = [
                    e
                    for e, (p, q) in enumerate(pairs)
                    if (p in members[a] and q in members[b])
                    or (q in members[a] and p in members[b])
                ]
                if a >= b or not across:
                    continue
                strength = sums[across].sum() / lengths[across].sum()
                size = [areas[members[k]].sum() for k in (a, b)]
                mean = [
                    (areas[members[k]][:, None] * vectors[members[k]]).sum(0) / s
                    for k, s in zip((a, b), size, strict=True)
                ]
                distance = min(np.abs(mean[0] - mean[1]).sum(), 1)
                factor = (min(size) / (min(size) + weights[2])) ** weights[3]
                found.append(((weights[0] * strength + weights[1] * distance) * factor, a, b))
        cost, a, b = min(found)
        merges.append((a, b))
        heights.append(cost)
        members[leaves + len(merges) - 1] = members.pop(a) + members.pop(b)
    return np.array(merges), np.array(heights)


@pytest.mark.parametrize("case", range(4))
def test_merges_and_costs_are_those_of_the_loop(case):
    rng = np.random.default_rng(case)
    pairs, lengths, sums = grid_graph(rng, 4, 5)
    areas = rng.integers(1, 50, 20).astype(float)
    vectors = rng.random((20, 3)).astype(np.float32) / 3
    weights = np.array([0.7, 0.3, 10.0, 0.5])
    expected = naive(pairs, lengths, sums, areas, vectors, weights)
    room = np.zeros(39), np.zeros((39, 3), np.float32), np.zeros((39, 2))
    room[0][:20], room[1][:20] = areas, vectors
    for values, column in ((lengths, 0), (sums, 1)):
        room[2][:20, column] = np.bincount(pairs.ravel(), weights=values.repeat(2), minlength=20)
    merges, heights = np.empty((19, 2), np.int64), np.empty(19)
    border_merges(pairs.copy(), lengths.copy(), sums.copy(), *room, weights, merges, heights)
    assert np.array_equal(merges, expected[0])
    np.testing.assert_allclose(heights, expected[1], rtol=1e-5)
    assert abs(room[2][38]).max() < 1e-9, "the whole has no border"
