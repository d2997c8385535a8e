"""Laws of clicks on a tree, whatever the tree and the clicks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.partition.merge_tree import MergeTree, build_tree
from maskspace.partition.tree_clicks import click_mask
from maskspace.types import Click

SEEDS = st.integers(0, 2**32 - 1)


def random_case(seed: int, *, number: int) -> tuple[MergeTree, list[Click]]:
    """Return the tree of a small noisy image of two halves, and clicks anywhere on it."""
    rng = np.random.default_rng(seed)
    features = rng.random((1, 12, 16)) * 0.4
    features[:, :, 8:] += 0.6
    tree = build_tree(features.astype(np.float32), regions=int(rng.integers(2, 40)))
    places = rng.choice(12 * 16, number, replace=False)
    return tree, [Click(int(p % 16), int(p // 16), bool(rng.integers(2))) for p in places]


@given(SEEDS, st.integers(1, 8), st.booleans())
def test_every_click_stays_true_and_changes_one_way_only(seed, number, with_start):
    tree, clicks = random_case(seed, number=number)
    start = np.random.default_rng(seed).random(tree.size_hw) < 0.5 if with_start else None
    mask = np.zeros(tree.size_hw, bool) if start is None else start
    for count, click in enumerate(clicks, start=1):
        after = click_mask(tree, clicks[:count], start=start)
        assert (after == mask)[(after if not click.positive else ~after)].all()
        mask = after
        assert [bool(mask[c.y, c.x]) for c in clicks[:count]] == [
            c.positive for c in clicks[:count]
        ]


@given(SEEDS, st.integers(1, 5))
def test_a_click_on_what_is_right_changes_nothing(seed, number):
    tree, clicks = random_case(seed, number=number)
    mask = click_mask(tree, clicks)
    x, y = clicks[0].x, clicks[0].y
    again = [*clicks, Click(x, y, bool(mask[y, x]))]
    np.testing.assert_array_equal(click_mask(tree, again), mask)


@given(SEEDS, st.integers(1, 5))
def test_a_mirrored_tree_and_mirrored_clicks_give_the_mirrored_mask(seed, number):
    tree, clicks = random_case(seed, number=number)
    mirrored = MergeTree(
        superpixels=tree.superpixels[:, ::-1].copy(),
        merges=tree.merges,
        heights=tree.heights,
        size_hw=tree.size_hw,
    )
    there = [Click(15 - c.x, c.y, c.positive) for c in clicks]
    np.testing.assert_array_equal(click_mask(mirrored, there), click_mask(tree, clicks)[:, ::-1])


def test_a_click_in_the_middle_means_the_region_that_it_is_in_the_middle_of():
    # a disc within a disc, both as persistent: the middle of the ring is the middle of neither
    rows, columns = np.mgrid[:31, :31] - 15
    radius = rows**2 + columns**2
    labels = np.where(radius <= 25, 1, np.where(radius <= 144, 2, 3)).astype(np.int32)
    _, first = np.unique(labels, return_index=True)
    order = np.argsort(np.argsort(first)).astype(np.int32)  # labels in row-major order
    superpixels = order[labels - 1] + 1
    inner, ring, rest = order
    tree = MergeTree(
        superpixels=superpixels,
        merges=np.array([[inner, ring], [3, rest]]),
        heights=np.array([0.5, 1.0], np.float32),
        size_hw=(31, 31),
    )
    np.testing.assert_array_equal(click_mask(tree, [Click(15, 15)]), radius <= 144)
    off = click_mask(tree, [Click(15 + 8, 15)])
    np.testing.assert_array_equal(off, labels == 2)
    without = click_mask(tree, [Click(15 + 8, 15), Click(15, 15, positive=False)])
    np.testing.assert_array_equal(without, labels == 2)


def test_a_superpixel_with_clicks_of_both_signs_is_parted_between_them():
    tree = build_tree(np.zeros((1, 1, 9), np.float32), regions=1)
    clicks = [Click(1, 0), Click(7, 0, positive=False)]
    assert tree.max_regions == 1
    assert click_mask(tree, clicks).astype(int).tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 0]]


def test_a_larger_image_is_answered_at_its_size_and_keeps_what_nobody_clicked():
    tree = MergeTree(
        superpixels=np.array([[1, 2]], np.int32),
        merges=np.array([[0, 1]]),
        heights=np.array([0.9], np.float32),
        size_hw=(4, 8),
    )
    start = np.zeros((4, 8), bool)
    start[3, 7] = True  # finer than the tree
    mask = click_mask(tree, [Click(0, 0)], start=start)
    assert mask[:, :4].all()
    assert mask[:, 4:].sum() == 1
    assert mask[3, 7]


@pytest.mark.parametrize(
    ("clicks", "start", "message"),
    [
        ([Click(16, 0)], None, "outside the image"),
        ([Click(0, 0)], np.zeros((3, 3), bool), r"the start mask is \(3, 3\)"),
    ],
)
def test_what_does_not_fit_the_image_is_refused(clicks, start, message):
    tree, _ = random_case(0, number=1)
    with pytest.raises(ValueError, match=message):
        click_mask(tree, clicks, start=start)
