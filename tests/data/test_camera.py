from dataclasses import replace

import numpy as np
import pytest

from maskspace.data.camera import Camera, photograph

STILL = Camera(
    tone=0.0, gamma=0.35, gain=0.2, tint=0.08, saturation=0.5, grey=0.0, damage=0.0, blur=1.5,
    noise=8.0, quality=45,
)  # fmt: skip
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


def shot(image: np.ndarray = PHOTO, seed: int = 0, **changes: float) -> np.ndarray:
    return photograph(image, replace(STILL, **changes), np.random.default_rng(seed))


def test_a_camera_that_changes_nothing_returns_the_image():
    np.testing.assert_array_equal(shot(), PHOTO)


@pytest.mark.parametrize("change", ["tone", "grey", "damage"])
def test_each_change_changes_and_repeats(change):
    taken = shot(**{change: 1.0})
    assert taken.dtype == np.uint8 and taken.shape == PHOTO.shape
    assert (taken != PHOTO).any()
    np.testing.assert_array_equal(taken, shot(**{change: 1.0}))
    assert (taken != shot(seed=1, **{change: 1.0})).any() or change == "grey"


def test_grey_is_grey_and_tone_alone_keeps_a_constant_image_constant():
    grey = shot(grey=1.0)
    assert (grey == grey[..., :1]).all()
    constant = shot(np.full((8, 8, 3), 90, np.uint8), tone=1.0)
    assert (constant == constant[:1, :1]).all()


def test_damage_is_at_most_what_is_said():
    flat = np.full((64, 64, 3), 128, np.uint8)
    for seed in range(20):
        taken = shot(flat, seed, damage=1.0, quality=95).astype(float)
        assert abs(taken.mean() - 128) < 2 and taken.std() < 9


@pytest.mark.parametrize(
    "changes", [{"tone": 1.5}, {"damage": -0.1}, {"gamma": -1.0}, {"quality": 0}, {"quality": 100}]
)
def test_what_is_no_camera_is_refused(changes):
    with pytest.raises(ValueError, match="camera"):
        replace(STILL, **changes)
