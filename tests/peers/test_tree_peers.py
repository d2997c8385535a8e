"""Laws of every peer with a tree that answers from an image alone."""

from itertools import pairwise

import numpy as np
import pytest

from maskspace.masks import split_components
from maskspace.segmenter.loading import load
from maskspace.types import read_rgb

NAMES = [
    "lab",
    "normalized-cuts@superpixels=150",
    "slic-merging@superpixels=300",
    *[f"watershed@attribute={attribute}" for attribute in ("area", "dynamics", "volume")],
]


@pytest.fixture(scope="module")
def photo(assets) -> np.ndarray:
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[1]
    return np.ascontiguousarray(read_rgb(str(path))[::3, ::3])


@pytest.mark.parametrize("name", NAMES)
def test_partitions_are_exact_connected_and_nested(name, photo):
    model = load(name)
    coarse = model.partition(photo, 1)
    assert (coarse == 1).all()
    for regions in (2, 3, 10, 40, 100):
        fine = model.partition(photo, regions)
        assert fine.shape == photo.shape[:2]
        np.testing.assert_array_equal(np.unique(fine), np.arange(1, regions + 1))
        np.testing.assert_array_equal(split_components(fine), fine)
        # each finer region lies in one coarser
        assert len(np.unique(np.stack([fine, coarse]).reshape(2, -1), axis=1).T) == regions
        coarse = fine
    with pytest.raises(ValueError, match="regions is in 1"):
        model.partition(photo, photo.size)


@pytest.mark.parametrize("name", NAMES)
def test_higher_thresholds_only_remove_contours(name, photo):
    tree = load(name).hierarchy(photo)
    assert tree.heights.min() >= 0 and tree.heights.max() <= 1
    assert (np.diff(tree.heights) >= 0).all()
    cuts = [tree.cut(float(height)) for height in np.quantile(tree.heights, [0.2, 0.5, 0.9, 1.0])]
    for fine, coarse in pairwise(cuts):
        pairs = np.unique(np.stack([fine, coarse]).reshape(2, -1), axis=1)
        assert pairs.shape[1] == fine.max() >= coarse.max()
    assert (cuts[-1] == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_image_gives_the_same_tree(name, photo):
    one, other = (load(name).hierarchy(image) for image in (photo, photo.copy()))
    np.testing.assert_array_equal(one.superpixels, other.superpixels)
    np.testing.assert_array_equal(one.merges, other.merges)
    np.testing.assert_array_equal(one.heights, other.heights)


@pytest.mark.parametrize("name", NAMES)
def test_plain_rectangles_are_found(name):
    image, wanted = np.full((60, 90, 3), 30, np.uint8), np.zeros((60, 90), bool)
    wanted[15:45, 15:45] = True
    image[wanted] = (200, 40, 40)
    masks = load(name).propose(image, limit=50).masks
    shared, together = (masks & wanted).sum(axis=(1, 2)), (masks | wanted).sum(axis=(1, 2))
    assert (shared / together).max() > 0.9
