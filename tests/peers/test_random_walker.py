from itertools import pairwise

import numpy as np
import pytest
from skimage.segmentation import random_walker as solved_by_skimage

from maskspace.peers.random_walker import factorise, hold, random_walker
from maskspace.types import Click, read_rgb, shrink_image


def reference(image: np.ndarray, wanted: np.ndarray, removed: np.ndarray, beta: float):
    """Return the probability by one direct solve of the padded image, seeds on its ring."""
    padded = np.pad(image / 255, ((1, 1), (1, 1), (0, 0)), mode="edge")
    seeds = np.full(padded.shape[:2], 2)
    seeds[1:-1, 1:-1] = np.where(removed, 2, wanted)
    beta *= padded.std() / (image / 255).std()  # scikit-image divides by the padded image's
    return solved_by_skimage(
        padded, seeds, beta=beta, mode="bf", channel_axis=2, return_full_prob=True
    )[0][1:-1, 1:-1]


@pytest.mark.parametrize("beta", [0.0, 130.0, 10_000.0])
def test_maps_are_those_of_solving_a_system_for_each_click(assets, beta):
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[0]
    image = shrink_image(read_rgb(str(path)), max_side=64)
    factors = factorise(image, beta=beta)
    wanted, removed = np.zeros((2, *image.shape[:2]), bool)
    for place in (np.s_[30:33, 20:23], np.s_[0:2, 0:2]):
        wanted[place] = True
        removed[50:52, 10:14] = True
        found = hold(factors, wanted.astype(float), wanted | removed)
        np.testing.assert_allclose(found, reference(image, wanted, removed, beta), atol=1e-5)


def test_probabilities_are_1_on_the_seeds_and_fall_towards_the_border():
    image = np.full((33, 33, 3), 90, np.uint8)
    seeds = np.zeros((33, 33), bool)
    seeds[16, 16] = True
    map_ = hold(factorise(image, beta=130.0), seeds.astype(float), seeds)
    assert map_[16, 16] == pytest.approx(1)
    assert (np.diff(map_[16, 16:]) < 0).all() and map_.min() > 0
    np.testing.assert_allclose(map_, map_[::-1], atol=1e-12)
    np.testing.assert_allclose(map_, map_.T, atol=1e-12)


def test_a_lower_level_gives_a_mask_that_holds_the_higher_ones():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    masks = [random_walker(image, level=level)([Click(20, 20)]) for level in (0.1, 0.5, 0.9)]
    for more, less in pairwise(masks):
        assert not (less & ~more).any() and more.sum() > less.sum()
