import builtins

import numpy as np
import pytest

from maskspace.masks import split_components
from maskspace.peers.grabcut import grabcut
from maskspace.types import Click, read_rgb


def test_what_comes_back_hangs_together_with_a_positive_click(assets):
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[1]
    image = read_rgb(str(path))[::2, ::2]
    clicks = [Click(40, 40), Click(80, 120), Click(10, 10, positive=False)]
    pieces = split_components(grabcut(image)(clicks).astype(int))
    assert 1 <= pieces.max() <= 2
    assert {pieces[click.y, click.x] for click in clicks[:2]} == set(range(1, pieces.max() + 1))
    assert pieces[10, 10] == 0


def test_the_same_clicks_give_the_same_mask():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    first = grabcut(image)([Click(20, 20)])
    grabcut(255 - image)([Click(9, 9)])
    np.testing.assert_array_equal(grabcut(image)([Click(20, 20)]), first)


def test_without_opencv_the_extra_is_named(monkeypatch):
    really = builtins.__import__

    def without_opencv(name, *arguments, **options):
        if name == "cv2":
            raise ImportError(name)
        return really(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_opencv)
    with pytest.raises(ValueError, match=r"pip install maskspace\[peers\]"):
        grabcut(np.zeros((20, 20, 3), np.uint8))
