import sys

import numpy as np
import pytest
from scipy import ndimage

from maskspace.masks import split_components
from maskspace.partition.superpixels import (
    equal_components,
    grid_seeds,
    row_major_labels,
    superpixels,
)


def is_row_major(labels: np.ndarray) -> bool:
    _, first = np.unique(labels, return_index=True)
    return bool((np.diff(first) > 0).all())


def smooth_noise(*shape: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape)
    return ndimage.gaussian_filter(noise, (0, 2, 2)).astype(np.float32)


@pytest.mark.parametrize("size_hw", [(16, 16), (31, 33), (16, 200), (64, 64), (97, 41), (1, 5000)])
@pytest.mark.parametrize("kind", ["constant", "smooth", "noise"])
def test_superpixels_are_connected_enough_and_labelled_in_row_major_order(size_hw, kind):
    embedding = {
        "constant": np.zeros((3, *size_hw), np.float32),
        "smooth": smooth_noise(3, *size_hw),
        "noise": np.random.default_rng(1).random((2, *size_hw)),
    }[kind]
    labels = superpixels(embedding)
    assert labels.max() >= min(labels.size, 1024)
    np.testing.assert_array_equal(np.unique(labels), np.arange(1, labels.max() + 1))
    assert split_components(labels).max() == labels.max()
    assert is_row_major(labels)


def test_constant_features_give_cells_of_even_size():
    areas = np.bincount(superpixels(np.zeros((3, 128, 128), np.float32)).ravel())[1:]
    assert areas.min() == areas.max() == 16


def test_a_step_is_cut_exactly_where_it_is():
    embedding = np.zeros((1, 48, 64), np.float32)
    embedding[:, 7:20, 13:31] = 0.5
    embedding[:, 20:33, 31:50] = 1.0
    labels = superpixels(embedding, regions=100)
    for value in (0.0, 0.5, 1.0):
        inside = embedding[0] == value
        assert not np.intersect1d(labels[inside], labels[~inside]).size


def test_superpixels_do_not_depend_on_the_scale_of_labels_or_order_of_channels():
    embedding = smooth_noise(4, 60, 60)
    expected = superpixels(embedding, regions=50)
    np.testing.assert_array_equal(superpixels(embedding[[2, 0, 3, 1]], regions=50), expected)
    np.testing.assert_array_equal(superpixels(embedding + np.float32(0), regions=50), expected)


def test_fewer_pixels_than_regions_gives_each_pixel_its_own():
    labels = superpixels(np.zeros((1, 4, 5)), regions=20)
    np.testing.assert_array_equal(labels, np.arange(1, 21).reshape(4, 5))


def test_seeds_are_the_pixels_of_least_gradient_in_their_cells():
    gradient = np.random.default_rng(0).random((12, 20))
    seeds = grid_seeds(gradient, regions=15)
    assert len(np.unique(seeds)) == len(seeds) >= 15
    rows, columns = np.arange(12) * 3 // 12, np.arange(20) * 5 // 20
    cell = rows[:, None] * 5 + columns
    expected = [np.where(cell == c, gradient, 2).argmin() for c in range(15)]
    np.testing.assert_array_equal(seeds, expected)


def test_no_region_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        superpixels(np.zeros((1, 4, 5)), regions=0)


def test_equal_components_are_those_of_each_value():
    values = np.random.default_rng(3).integers(-1, 3, (40, 30)).astype(np.int32)
    labels = equal_components(values)
    np.testing.assert_array_equal(labels, split_components(values + 2))


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_labels_are_numbered_by_their_first_pixels_however_many_are_looked_at_at_once(
    at_once, monkeypatch
):
    monkeypatch.setattr(sys.modules[superpixels.__module__], "_AT_ONCE", at_once)
    labels = np.random.default_rng(0).integers(0, 30, 200).astype(np.int32)
    known: dict[int, int] = {}
    expected = [known.setdefault(label, len(known) + 1) for label in labels.tolist()]
    np.testing.assert_array_equal(row_major_labels(labels), expected)
    assert row_major_labels(labels[:0]).size == 0
