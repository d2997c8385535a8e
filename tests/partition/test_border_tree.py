import sys

import numpy as np
import pytest
from scipy import ndimage

from maskspace.partition.border_tree import BorderRule, border_tree
from maskspace.partition.region_graph import nearest_cells
from maskspace.partition.superpixels import grid_seeds


def border_map(labels, smooth=0.8):
    """Return the borders of a label map as a network would draw them: a ridge on both sides."""
    edges = np.zeros(labels.shape, np.float32)
    for axis in (0, 1):
        differ = np.diff(labels, axis=axis) != 0
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edges[tuple(before)] = np.maximum(edges[tuple(before)], differ)
        edges[tuple(after)] = np.maximum(edges[tuple(after)], differ)
    return ndimage.gaussian_filter(edges, smooth).clip(0, 1)


@pytest.fixture(scope="module")
def scene():
    """A disc in a disc, and a square, on a background."""
    rows, columns = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), int)
    far = (rows - 60) ** 2 + (columns - 60) ** 2
    labels[far < 40**2], labels[far < 18**2] = 1, 2
    labels[20:60, 115:150] = 3
    return labels


def agree(found, labels):
    """Return the share of pixels in the region that most of their true region is in."""
    table = np.zeros((found.max() + 1, labels.max() + 1), int)
    np.add.at(table, (found.ravel(), labels.ravel()), 1)
    return table.max(axis=0).sum() / labels.size, table.max(axis=1).sum() / labels.size


def test_as_many_regions_as_there_are_give_the_scene(scene):
    found = border_tree(border_map(scene)).partition(4)
    assert min(agree(found, scene)) > 0.99


def test_stronger_borders_outlive_weaker_ones(scene):
    strong = border_map((scene == 3).astype(int))
    weak = 0.4 * border_map(np.where(scene == 3, 0, scene))
    found = border_tree(np.maximum(strong, weak)).partition(2)
    assert min(agree(found, (scene == 3).astype(int))) > 0.99


def test_vectors_separate_where_the_map_says_little(scene):
    vectors = np.stack([(scene == k)[::2, ::2] for k in (1, 2, 3)]).astype(np.float32) / 2
    faint = 0.02 * border_map(scene)
    found = border_tree(faint, vectors).partition(4)
    assert min(agree(found, scene)) > 0.97


def test_heights_never_fall_and_partitions_nest(scene):
    tree = border_tree(border_map(scene))
    assert (np.diff(tree.heights) >= 0).all()
    assert tree.heights.min() >= 0 and tree.heights.max() <= 1
    fine, coarse = tree.partition(50), tree.partition(7)
    assert all(len(np.unique(coarse[fine == k])) == 1 for k in range(1, 51))


@pytest.mark.parametrize("size", [(16, 16), (40, 50), (90, 70)])
def test_a_constant_image_has_as_many_regions_as_asked_for(size):
    tree = border_tree(np.zeros(size, np.float32))
    least = min(size[0] * size[1], 1024)
    assert tree.max_regions >= least
    for number in (1, 2, 7, least):
        labels = tree.partition(number)
        assert labels.max() == number
        assert all(ndimage.label(labels == k)[1] == 1 for k in range(1, min(number, 30) + 1))


def test_specks_join_early(scene):
    labels = scene.copy()
    labels[100:104, 30:34] = 4
    boundary = border_map(labels)
    found = border_tree(boundary).partition(4)
    assert min(agree(found, scene)) > 0.99
    late = border_tree(boundary, rule=BorderRule(smallness=0.0))
    early = border_tree(boundary, rule=BorderRule(smallness=1.0))
    assert late.heights[-4:].sum() > early.heights[-4:].sum()


def test_a_mirrored_map_has_the_mirrored_partition(scene):
    boundary = border_map(scene)
    found = border_tree(boundary).partition(4)
    mirrored = border_tree(boundary[:, ::-1].copy()).partition(4)[:, ::-1]
    assert min(agree(found, mirrored)) > 0.99


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_told(value):
    boundary = np.zeros((20, 20), np.float32)
    boundary[3, 3] = value
    with pytest.raises(ValueError, match="not finite"):
        border_tree(boundary)


@pytest.mark.parametrize("size", [(33, 65), (31, 47)])
def test_seeds_of_a_mirrored_map_are_the_mirrored_ones(size):
    # an odd number of cells: of an even one the middle pixel lies on a border of two cells
    gradient = np.random.default_rng(0).uniform(0, 1, size).astype(np.float32)
    seeds, mirrored = np.zeros(size, bool), np.zeros(size, bool)
    seeds.ravel()[grid_seeds(gradient, regions=30)] = True
    mirrored.ravel()[grid_seeds(gradient[:, ::-1].copy(), regions=30)] = True
    np.testing.assert_array_equal(seeds, mirrored[:, ::-1])


@pytest.mark.parametrize(("side", "stride"), [(33, 2), (65, 4), (31, 2), (49, 8)])
def test_mirrored_pixels_have_mirrored_cells_and_none_is_nearer(side, stride):
    cells = nearest_cells(side, stride)
    if (side - 1) % stride == 0:
        last = (side - 1) // stride
        middle = 2 * np.arange(side) != side - 1
        np.testing.assert_array_equal((last - cells[::-1])[middle], cells[middle])
    away = np.abs(np.arange(side) - stride * cells)
    for step in (-1, 1):
        assert (away <= np.abs(np.arange(side) - stride * (cells + step))).all()


def test_the_cells_of_large_images_grow_so_that_the_tree_does_not(monkeypatch):
    boundary = np.random.default_rng(0).random((48, 64)).astype(np.float32)
    monkeypatch.setattr(sys.modules[BorderRule.__module__], "MOST_CELLS", 20)
    assert 20 <= border_tree(boundary, regions=1).max_regions <= 30
