import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.masks import areas
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.tree_clicks import click_mask
from maskspace.peers.linked_tree import tree_of_contours
from maskspace.peers.tree_answers import ranked_regions, regions_under
from maskspace.types import Click

SEEDS = st.integers(0, 2**32 - 1)
RANKINGS = ("persistence", "area", "strength")


def random_tree(seed: int, size_hw: tuple[int, int] | None = None) -> MergeTree:
    """Return a tree of random contours with ties, whose answers may be of a larger size."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(2, 8, 2)
    right = rng.integers(0, 9, (rows, columns - 1)) / 8
    down = rng.integers(0, 9, (rows - 1, columns)) / 8
    return tree_of_contours(right, down, size_hw=size_hw or (int(rows), int(columns)))


@given(SEEDS)
def test_the_ranking_by_persistence_is_the_trees_own(seed):
    tree = random_tree(seed, (16, 20))
    ours, own = ranked_regions(tree, limit=30, min_area=2), tree.proposals(30, min_area=2)
    np.testing.assert_array_equal(ours.masks, own.masks)
    np.testing.assert_array_equal(ours.scores, own.scores)


@given(SEEDS, st.sampled_from(RANKINGS))
def test_all_regions_of_all_cuts_are_ranked_once_and_nest(seed, ranking):
    tree = random_tree(seed)
    found = ranked_regions(tree, limit=1000, ranking=ranking, min_area=1)
    assert len(found) == 2 * tree.max_regions - 1
    assert (np.diff(found.scores) <= 0).all()
    known = {mask.tobytes() for mask in found.masks}
    assert len(known) == len(found)
    for regions in range(1, tree.max_regions + 1):
        labels = tree.partition(regions)
        assert {(labels == label).tobytes() for label in range(1, regions + 1)} <= known
    flat = found.masks.reshape(len(found), -1).astype(int)
    shared, sizes = flat @ flat.T, flat.sum(axis=1)
    smaller = np.minimum(sizes[:, None], sizes[None])
    assert ((shared == 0) | (shared == smaller)).all()


@given(SEEDS)
def test_scores_are_what_the_ranking_says(seed):
    tree = random_tree(seed)
    by_area = ranked_regions(tree, limit=1000, ranking="area", min_area=1)
    np.testing.assert_allclose(
        by_area.scores * tree.superpixels.size, areas(by_area.masks), rtol=1e-6
    )
    by_strength = ranked_regions(tree, limit=1000, ranking="strength", min_area=1)
    for mask, score in zip(by_strength.masks, by_strength.scores, strict=True):
        if not mask.all():  # from this height on, the region is a part of another
            labels = tree.cut(float(score))
            assert (labels == labels[mask][0]).sum() > mask.sum()


@given(SEEDS, st.sampled_from(RANKINGS), st.integers(1, 6), st.integers(1, 9))
def test_a_limit_keeps_the_best_and_small_regions_are_left_out(seed, ranking, limit, min_area):
    tree = random_tree(seed)
    every = ranked_regions(tree, limit=1000, ranking=ranking, min_area=min_area)
    some = ranked_regions(tree, limit=limit, ranking=ranking, min_area=min_area)
    np.testing.assert_array_equal(some.masks, every.masks[:limit])
    sizes = areas(every.masks)
    assert ((sizes >= min_area) | (sizes == tree.superpixels.size)).all()


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="limit is at least 1; got 0"):
        ranked_regions(random_tree(0), limit=0)


@given(SEEDS, st.integers(0, 8))
def test_a_click_at_a_level_gives_the_cuts_regions(seed, eighths):
    tree, rng = random_tree(seed), np.random.default_rng(seed)
    rows, columns = tree.size_hw
    clicks = [
        Click(int(rng.integers(columns)), int(rng.integers(rows)), positive=bool(i % 2))
        for i in range(4)
    ]
    labels = tree.cut(eighths / 8)
    expected = np.zeros(tree.size_hw, bool)
    for click in clicks:
        if click.positive:
            expected |= labels == labels[click.y, click.x]
    for click in clicks:
        if not click.positive:
            expected &= labels != labels[click.y, click.x]
    np.testing.assert_array_equal(regions_under(tree, clicks, level=eighths / 8), expected)


@given(SEEDS)
def test_clicks_without_a_level_are_those_of_the_tree(seed):
    tree, rng = random_tree(seed), np.random.default_rng(seed)
    rows, columns = tree.size_hw
    clicks = [
        Click(int(rng.integers(columns)), int(rng.integers(rows)), positive=bool(i % 2))
        for i in range(3)
    ]
    start = rng.random(tree.size_hw) < 0.5
    np.testing.assert_array_equal(
        regions_under(tree, clicks, start=start), click_mask(tree, clicks, start=start)
    )
