import numpy as np
import pytest
import torch

from maskspace.kernels.mutex_clusters import mutex_clusters
from maskspace.partition.mutex_watershed import (
    OFFSETS,
    embedding_affinities,
    mutex_watershed,
    signed_edges,
)
from tests.partition.scenes import same_partition

FEW = ((-1, 0), (0, -1), (-3, 0), (0, -3), (2, -3))


def one_by_one(first, second, weight, nodes):
    """The algorithm with sets."""
    cluster_of = {node: {node} for node in range(nodes)}
    forbidden = set()
    for a, b, w in zip(first, second, weight, strict=True):
        left, right = cluster_of[a], cluster_of[b]
        if left is right:
            continue
        apart = any((p, q) in forbidden for p in left for q in right)
        if w < 0:
            forbidden |= {(a, b), (b, a)}
        elif not apart:
            left |= right
            for node in right:
                cluster_of[node] = left
    return [min(cluster_of[node]) + 1 for node in range(nodes)]


@pytest.mark.parametrize("seed", range(8))
def test_clusters_of_a_grid_are_those_of_sets(seed):
    rng = np.random.default_rng(seed)
    affinities = rng.random((len(FEW), 8, 9)).astype(np.float32)
    affinities[2:] = affinities[2:] ** 0.3
    inside = rng.random((8, 9)) < 0.95
    edges = signed_edges(affinities, inside, FEW)
    found = mutex_clusters(*edges, 72)
    assert same_partition(found, np.array(one_by_one(*(e.tolist() for e in edges), 72)))
    assert 3 < found.max() < 72


@pytest.mark.parametrize("seed", range(8))
def test_clusters_of_any_graph_are_those_of_sets(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 40, (2, 300)).astype(np.int32)
    weight = np.round(rng.random(300), 1) + 0.05  # with ties
    weight = np.where(rng.random(300) < 0.4, -weight, weight).astype(np.float32)
    order = np.argsort(-np.abs(weight), kind="stable")
    edges = first[order], second[order], weight[order]
    found = mutex_clusters(*edges, 40)
    assert same_partition(found, np.array(one_by_one(*(e.tolist() for e in edges), 40)))


def test_affinities_are_those_of_the_formula():
    embedding = torch.randn((3, 5, 7), generator=torch.Generator().manual_seed(0))
    found = embedding_affinities(embedding, FEW, bandwidth=0.9)
    for k, (x, y) in enumerate(FEW):
        for row in range(5):
            for column in range(7):
                there = (row + y, column + x)
                expected = 0.0
                if 0 <= there[0] < 5 and 0 <= there[1] < 7:
                    away = (embedding[:, row, column] - embedding[:, *there]).norm()
                    expected = max(0.0, float(1 - away / 1.8)) ** 2
                assert float(found[k, row, column]) == pytest.approx(expected, abs=1e-6)


def test_a_gradual_change_is_cut_where_ends_repel():
    embedding = torch.linspace(0, 4, 40).expand(1, 12, 40).contiguous()
    offsets = ((-1, 0), (0, -1), (-27, 0))
    assert len(mutex_watershed({"1": embedding}, offsets=offsets).scores) > 1
    assert len(mutex_watershed({"1": embedding}, offsets=offsets[:2]).scores) == 1


def test_breaks_of_a_head_are_followed():
    embedding = torch.zeros(1, 12, 40)
    embedding[:, :, 17:] = 3.0
    affinity = embedding_affinities(embedding, OFFSETS, bandwidth=0.5)
    given = mutex_watershed({"affinity": 20 * (0.5 - affinity)})
    assert (given.labels == mutex_watershed({"1": embedding}).labels).all()
    assert len(given.scores) == 2


def test_offsets_and_channels_fit():
    with pytest.raises(ValueError, match="an offset has length 1"):
        mutex_watershed({"1": torch.zeros(1, 4, 4)}, offsets=((3, 0),))
    with pytest.raises(ValueError, match="a channel for each of 12 offsets; got 2"):
        mutex_watershed({"affinity": torch.zeros(2, 4, 4)})
