import numpy as np
import pytest
import torch

from maskspace.partition.agglomeration import (
    agglomeration,
    average_linkage,
    merge_tree,
    squared_spread,
)
from maskspace.partition.merge_tree import build_tree
from tests.partition.scenes import same_partition


def one_by_one(edges, nodes, limit):
    """Average linkage by comparing all pairs of clusters at every merge."""
    clusters = [{node} for node in range(nodes)]
    while True:
        best = None
        for i, left in enumerate(clusters):
            for j in range(i):
                between = [
                    (d * w, w)
                    for a, b, d, w in edges
                    if (a in left and b in clusters[j]) or (b in left and a in clusters[j])
                ]
                if between:
                    mean = sum(t for t, _ in between) / sum(w for _, w in between)
                    if mean <= limit and (best is None or mean < best[0]):
                        best = (mean, i, j)
        if best is None:
            return clusters
        clusters[best[2]] |= clusters[best[1]]
        del clusters[best[1]]


@pytest.mark.parametrize("seed", range(6))
def test_linkage_is_that_of_comparing_all_pairs(seed):
    rng = np.random.default_rng(seed)
    pairs = np.array([(a, b) for a in range(14) for b in range(a + 1, 14) if rng.random() < 0.3])
    distance, weight = rng.random(len(pairs)), rng.integers(1, 9, len(pairs))
    found = average_linkage(pairs[:, 0], pairs[:, 1], distance, weight, 14, limit=0.4)
    edges = list(zip(*pairs.T.tolist(), distance.tolist(), weight.tolist(), strict=True))
    expected = np.zeros(14, int)
    for label, cluster in enumerate(one_by_one(edges, 14, 0.4), start=1):
        expected[list(cluster)] = label
    assert same_partition(found + 1, expected)
    assert all(found[node] == min(np.flatnonzero(found == found[node])) for node in range(14))


def test_a_step_is_cut_above_the_bandwidth_and_a_weak_gap_is_no_leak():
    embedding = torch.zeros(1, 40, 40)
    embedding[:, :, 20:] = 1.0
    embedding[:, 19, 18:22] = torch.tensor([0.2, 0.4, 0.6, 0.8])  # one row leads across
    found = agglomeration({"1": embedding}, bandwidth=0.6, regions=400)
    assert len(found.scores) == 2
    assert len(agglomeration({"1": embedding}, bandwidth=1.1, regions=400).scores) == 1


def test_a_tree_s_cut_is_its_own():
    embedding = torch.rand((3, 24, 30), generator=torch.Generator().manual_seed(0))
    tree = build_tree(embedding.numpy(), regions=50)
    found = merge_tree({"1": embedding}, height=0.2, regions=50, min_area=1)
    assert same_partition(found.labels, tree.cut(0.2))


def test_spread_is_the_squared_distance_to_the_mean():
    features = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 3, (4, 5)).astype(np.int32)
    found = squared_spread(features, labels)
    for label in range(3):
        own = features[:, labels == label]
        expected = ((own - own.mean(1, keepdims=True)) ** 2).sum(0)
        assert np.allclose(found[labels == label], expected, atol=1e-6)


def test_a_bandwidth_is_above_zero():
    with pytest.raises(ValueError, match="bandwidth is above 0; got 0"):
        agglomeration({"1": torch.zeros(1, 2, 2)}, bandwidth=0.0)
