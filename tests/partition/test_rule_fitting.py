import numpy as np
import pytest

from maskspace.partition.border_tree import BorderRule, merge_borders
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.rule_fitting import COSTS, fit_rule, observe

SIZE = (32, 48)


def scene(seed: int, *, annotators: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Four quarters: all see the vertical border, one annotator alone the horizontal one."""
    rng = np.random.default_rng(seed)
    row, column = int(rng.integers(10, 22)), int(rng.integers(14, 34))
    right = np.arange(SIZE[1]) > column
    below = np.arange(SIZE[0])[:, None] > row
    all_see = np.broadcast_to(1 + right, SIZE)
    layers = np.stack([all_see] * (annotators - 1) + [1 + right + 2 * below])
    boundary = np.full(SIZE, 0.02, np.float32)
    boundary[row] = 0.4
    boundary[:, column] = 0.9
    return boundary + rng.uniform(0, 0.01, SIZE).astype(np.float32), layers


def observed(seed: int):
    boundary, layers = scene(seed)
    return observe(merge_borders(boundary, rule=BorderRule(), regions=64), layers)


def test_counts_of_nodes_are_those_of_their_masks():
    boundary, layers = scene(0)
    tree = merge_borders(boundary, rule=BorderRule(), regions=16).tree(BorderRule())
    counts = tree.label_counts(layers[2])
    for node in range(2 * tree.max_regions - 1):
        mask = tree._node_mask(node)
        expected = [np.count_nonzero(mask & (layers[2] == label)) for label in range(5)]
        assert counts[node].tolist() == expected
    unknown = np.where(layers[2] == 3, -1, layers[2])
    np.testing.assert_array_equal(tree.label_counts(unknown)[:, [1, 2, 4]], counts[:, [1, 2, 4]])


def test_counts_of_a_smaller_tree_are_of_the_nearest_pixels():
    tree = MergeTree(
        superpixels=np.array([[1, 2]], np.int32),
        merges=np.array([[0, 1]]),
        heights=np.array([0.5], np.float32),
        size_hw=(2, 4),
    )
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    assert tree.label_counts(labels).tolist() == [[1, 0], [0, 1], [1, 1]]


def test_a_merge_has_the_share_of_those_who_see_its_border():
    for seed in range(3):
        shares = observed(seed).shares
        assert shares[-1] == 1  # the vertical border, which all see
        assert set(np.round(3 * shares).tolist()) <= {0, 1, 2, 3}
        assert (np.round(3 * shares) == 1).any()  # the horizontal one


def test_qualities_are_ious_and_a_region_itself_has_its_annotators_share_of_one():
    one = observed(1)
    assert (one.qualities >= 0).all() and (one.qualities <= 1).all()
    assert one.qualities.max() >= 2 / 3  # a half is a region for two of three


def test_heights_rise_and_come_near_the_share_who_see_a_border():
    images = [observed(seed) for seed in range(6)]
    rule = fit_rule(BorderRule(), images)
    heights = rule.heights(np.array(COSTS, float))
    assert heights[0] == 0 and heights[-1] == 1 and (np.diff(heights) > 0).all()
    for one in images:
        tree = one.merging.tree(rule)
        assert tree.heights[-1] >= 0.6 and np.median(tree.heights) <= 0.3
        assert tree.ranks is not None and len(tree.ranks) == 2 * tree.max_regions - 1


def test_the_fit_does_not_depend_on_the_order_of_images():
    images = [observed(seed) for seed in range(4)]
    one, other = fit_rule(BorderRule(), images), fit_rule(BorderRule(), images[::-1])
    np.testing.assert_allclose(one.shares, other.shares, atol=1e-6)
    np.testing.assert_allclose(one.ranking, other.ranking, atol=1e-4)


def test_unknown_pixels_count_nowhere():
    boundary, layers = scene(2)
    merging = merge_borders(boundary, rule=BorderRule(), regions=64)
    blind = np.concatenate([layers, np.full((1, *SIZE), -1)])
    np.testing.assert_allclose(
        observe(merging, blind).qualities, observe(merging, layers).qualities
    )


def test_no_merges_cannot_be_fitted():
    with pytest.raises(ValueError, match="fitted"):
        fit_rule(BorderRule(), [])
