from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.peers.normalized_cuts import normalized_cuts, separations, two_way_cut


def ncut(similarity: np.ndarray, side: np.ndarray) -> float:
    """Return Shi and Malik's Ncut of two sides, equation 2."""
    across = similarity[np.ix_(side, ~side)].sum()
    return across / similarity[side].sum() + across / similarity[~side].sum()


def random_graph(seed: int, nodes: int) -> np.ndarray:
    """Return symmetric weights of a complete graph, which is connected."""
    weights = np.random.default_rng(seed).uniform(0.01, 1, (nodes, nodes))
    return np.triu(weights, 1) + np.triu(weights, 1).T


@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_the_cost_is_ncut_and_no_cut_costs_less_than_the_best(seed, nodes):
    similarity = random_graph(seed, nodes)
    side, cost = two_way_cut(similarity)
    assert 0 < side.sum() < nodes
    np.testing.assert_allclose(cost, ncut(similarity, side), rtol=1e-9)
    every = [np.array(s, bool) for s in product([0, 1], repeat=nodes) if 0 < sum(s) < nodes]
    assert cost >= min(ncut(similarity, s) for s in every) - 1e-9


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (4, 9)])
def test_two_groups_that_hang_together_are_cut_apart_at_the_best_cost(sizes):
    group = np.repeat([0, 1], sizes)
    order = np.random.default_rng(0).permutation(len(group))
    group = group[order]
    similarity = np.where(group[:, None] == group, 1.0, 0.01)
    np.fill_diagonal(similarity, 0)
    side, cost = two_way_cut(similarity)
    assert (side == group).all() or (side != group).all()
    np.testing.assert_allclose(cost, ncut(similarity, group == 1))


def recursion(similarity: np.ndarray, nodes: np.ndarray, threshold: float) -> list[np.ndarray]:
    """Return the parts of the recursion that keeps whole what costs more than the threshold."""
    if len(nodes) == 1:
        return [nodes]
    side, cost = two_way_cut(similarity[np.ix_(nodes, nodes)])
    if cost > threshold:
        return [nodes]
    halves = (recursion(similarity, nodes[s], threshold) for s in (side, ~side))
    return [part for half in halves for part in half]


@given(st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_one_table_holds_the_recursion_of_every_threshold(seed, nodes):
    similarity = random_graph(seed, nodes)
    separated = separations(similarity)
    np.testing.assert_array_equal(separated, separated.T)
    for threshold in [0.0, *np.unique(separated), 2.0]:
        for part in recursion(similarity, np.arange(nodes), threshold):
            others = np.setdiff1d(np.arange(nodes), part)
            inside = separated[np.ix_(part, part)]
            assert (inside[~np.eye(len(part), dtype=bool)] > threshold).all()
            assert (separated[np.ix_(part, others)] <= threshold).all()


def test_what_is_not_connected_falls_apart_first():
    similarity = np.zeros((5, 5))
    similarity[:2, :2] = similarity[2:4, 2:4] = 0.5
    np.fill_diagonal(similarity, 0)
    separated = separations(similarity)
    assert (separated[:2, 2:] == 0).all() and (separated[2:4, 4] == 0).all()
    assert separated[0, 1] > 0 and separated[2, 3] > 0


def test_colours_that_differ_are_cut_first():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 24:] = 200
    image[10:30, 40:50] = 90
    tree = normalized_cuts(image, superpixels=60)
    three = {(tree.partition(3) == label).sum() for label in (1, 2, 3)}
    assert three == {40 * 24, 20 * 10, 40 * 36 - 20 * 10}
