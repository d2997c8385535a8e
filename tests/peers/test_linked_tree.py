import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from maskspace.masks import split_components
from maskspace.peers.linked_tree import tree_of_contours, tree_of_links


def doubled(right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the contours on the grid of BSDS500's files: corners are the greatest that meet."""
    grid = np.zeros((2 * right.shape[0] - 1, 2 * down.shape[1] - 1))
    grid[::2, 1::2], grid[1::2, ::2] = right, down
    grid[1::2, 1::2] = np.maximum.reduce([right[:-1], right[1:], down[:, :-1], down[:, 1:]])
    return np.pad(grid, 1, mode="edge")  # contours end at the rim


def regions_below(grid: np.ndarray, threshold: float) -> np.ndarray:
    """Return the benchmark's regions: 8-connected pieces of the grid, seen at the pixels."""
    pieces, _ = ndimage.label(grid <= threshold, structure=np.ones((3, 3)))
    return split_components(pieces[1::2, 1::2])


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 9), st.integers(1, 6))
def test_a_cut_is_the_connected_pieces_below_the_threshold(seed, rows, columns, levels):
    rng = np.random.default_rng(seed)
    # quarters are exact in single precision, and ties are many
    right = rng.integers(0, levels, (rows, columns - 1)) / 8
    down = rng.integers(0, levels, (rows - 1, columns)) / 8
    tree = tree_of_contours(right, down, size_hw=(rows, columns))
    grid = doubled(right, down)
    for threshold in np.arange(9) / 8:
        np.testing.assert_array_equal(tree.cut(threshold), regions_below(grid, threshold))
    assert (np.diff(tree.heights) >= 0).all()
    assert len(np.unique(tree.partition(tree.max_regions))) == tree.max_regions


@given(st.integers(0, 2**32 - 1))
def test_every_link_joins_at_its_height_or_below(seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
    index = labels.astype(int) - 1
    links = np.concatenate(
        [np.stack([index[:, :-1], index[:, 1:]], -1), np.stack([index[:-1], index[1:]], -1)],
        axis=None,
    ).reshape(-1, 2)
    heights = rng.integers(0, 5, len(links)) / 4
    tree = tree_of_links(labels, links, heights, size_hw=(3, 4))
    for (left, right), height in zip(links, heights, strict=True):
        cut = tree.cut(height).ravel()
        assert cut[left] == cut[right]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 5), (4, 1), (3, 3)])
def test_without_contours_there_is_one_region(size_hw):
    rows, columns = size_hw
    right, down = np.zeros((rows, columns - 1)), np.zeros((rows - 1, columns))
    tree = tree_of_contours(right, down, size_hw=size_hw)
    assert tree.max_regions == 1
    assert (tree.partition(1) == 1).all()
