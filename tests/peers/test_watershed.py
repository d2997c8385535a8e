import builtins

import numpy as np
import pytest

from maskspace.masks import areas, from_label_map
from maskspace.peers.watershed import watershed


@pytest.fixture
def soft() -> np.ndarray:
    """Return a smooth image whose differences double when it is doubled."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 100, (5, 7, 3))
    return np.kron(coarse, np.ones((9, 9, 1))).astype(np.uint8)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_a_cut_by_area_leaves_no_smaller_region(share, soft):
    labels = watershed(soft, attribute="area").cut(share)
    sizes = areas(from_label_map(labels)[1])
    assert len(sizes) > 1
    assert (sizes > share * labels.size).all()


@pytest.mark.parametrize(("attribute", "factor"), [("area", 1), ("dynamics", 2), ("volume", 2)])
def test_twice_the_contrast_is_twice_the_depth_and_the_same_area(attribute, factor, soft):
    one, double = (watershed(image, attribute=attribute) for image in (soft, soft * 2))
    np.testing.assert_allclose(double.heights, factor * one.heights, rtol=1e-5)
    np.testing.assert_array_equal(double.superpixels, one.superpixels)


def test_an_image_of_one_colour_is_one_region():
    tree = watershed(np.full((20, 30, 3), 77, np.uint8))
    assert tree.max_regions == 1


def test_without_higra_the_extra_is_named(monkeypatch):
    really = builtins.__import__

    def without_higra(name, *arguments, **options):
        if name == "higra":
            raise ImportError(name)
        return really(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_higra)
    with pytest.raises(ValueError, match=r"pip install maskspace\[peers\]"):
        watershed(np.zeros((20, 20, 3), np.uint8))
