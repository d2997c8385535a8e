from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as made_arrays

from maskspace.data import READERS
from maskspace.data.augment import nesting_depths
from maskspace.data.crops import (
    SHARES,
    Window,
    area_shares,
    cut,
    draw_mask,
    draw_window,
    level_shares,
    resized,
)
from maskspace.data.loader import Dense, dense

sides = st.integers(1, 14)
MASKS = made_arrays(bool, st.tuples(sides, sides)).map(lambda m: m if m.any() else np.invert(m))


@pytest.fixture(scope="module")
def scene() -> Dense:
    return dense(READERS["scenes"]("", seed=0, limit=1)[0])


def held(mask: np.ndarray, window: Window) -> int:
    padded = np.pad(mask, 40)
    top, left = window.top + 40, window.left + 40
    return int(padded[top : top + window.side, left : left + window.side].sum())


@settings(deadline=None)
@given(MASKS, st.integers(1, 16), st.floats(0.05, 1), st.integers(0, 9))
def test_a_window_holds_its_share_and_is_no_larger_than_it_has_to_be(mask, side, share, seed):
    generator = np.random.default_rng(seed)
    window = draw_window(mask, side=side, share=share, generator=generator)
    needed = share * mask.sum() - 1e-6
    assert held(mask, window) >= needed
    height, width = mask.shape
    for low, whole in ((window.top, height), (window.left, width)):
        if window.side <= whole:
            assert low >= 0 and low + window.side <= whole
        else:
            assert low <= 0 and low + window.side >= whole
    if window.side > side:
        smaller = window.side - 1
        spans = [range(min(0, w - smaller), max(0, w - smaller) + 1) for w in mask.shape]
        best = max(held(mask, Window(x, y, smaller)) for y in spans[0] for x in spans[1])
        assert best < needed


def test_every_place_that_holds_enough_is_as_likely():
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:9] = True
    mask[2, 3] = False
    generator = np.random.default_rng(0)
    good = {
        (x, y)
        for y in range(9 - 5 + 1)
        for x in range(12 - 5 + 1)
        if held(mask, Window(x, y, 5)) >= 0.7 * mask.sum()
    }
    drawn = Counter()
    for _ in range(200 * len(good)):
        window = draw_window(mask, side=5, share=0.7, generator=generator)
        drawn[window.left, window.top] += 1
    assert set(drawn) == good
    assert min(drawn.values()) > 140 and max(drawn.values()) < 260


def test_a_rare_place_is_found_too():
    mask = np.zeros((300, 300), bool)
    mask[0, 0] = mask[59, 59] = True
    window = draw_window(mask, side=60, share=1.0, generator=np.random.default_rng(0))
    assert window == Window(0, 0, 60)


def test_cut_and_resized_samples_keep_the_chosen_mask(scene):
    for seed in range(20):
        generator = np.random.default_rng(seed)
        index = draw_mask(level_shares(scene), generator)
        side = int(generator.integers(10, 130))
        window = draw_window(scene.masks[index], side=side, share=0.6, generator=generator)
        piece = cut(scene, window)
        assert piece.masks[index].sum() >= 0.6 * scene.masks[index].sum()
        assert piece.image.shape == (window.side, window.side, 3)
        small = resized(piece, (48, 40))
        assert small.image.shape == (48, 40, 3) and small.masks.shape[1:] == (48, 40)
        assert small.ignore.shape == (48, 40)
        assert list(small.ids) == list(scene.ids)


def test_beyond_the_border_is_filling_and_no_mask(scene):
    side = scene.image.shape[0]
    piece = cut(scene, Window(-10, 5, side + 20), fill=7)
    assert (piece.image[:, :10] == 7).all() and not piece.masks[:, :, :10].any()
    np.testing.assert_array_equal(piece.image[: side - 5, 10 : side + 10], scene.image[5:])
    np.testing.assert_array_equal(piece.masks[:, : side - 5, 10 : side + 10], scene.masks[:, 5:])


def test_shares_are_shares(scene):
    for shares in SHARES.values():
        found = shares(scene)
        assert found.shape == (len(scene.masks),) and np.isclose(found.sum(), 1)
    nothing = type(scene)(
        **{
            **vars(scene),
            "masks": scene.masks[:0],
            "ids": scene.ids[:0],
            "parents": scene.parents[:0],
            "scores": scene.scores[:0],
            "layers": scene.layers[:0],
        }
    )
    for shares in SHARES.values():
        with pytest.raises(ValueError, match="no mask to draw"):
            draw_mask(shares(nothing), np.random.default_rng(0))


def test_areas_weigh_by_their_power_and_levels_alike(scene):
    area = scene.masks.sum((1, 2))
    found = area_shares(scene, power=1.0)
    np.testing.assert_allclose(found, area / area.sum())
    assert np.argmax(area_shares(scene, power=-1.0)) == np.argmin(area)
    depths, found = nesting_depths(scene.ids, scene.parents), level_shares(scene)
    for depth in np.unique(depths):
        assert np.isclose(found[depths == depth].sum(), 1 / len(np.unique(depths)))


def test_what_no_window_can_hold_is_refused():
    mask, generator = np.ones((4, 4), bool), np.random.default_rng(0)
    for wrong in ({"share": 0.0}, {"share": 1.5}, {"side": 0}):
        with pytest.raises(ValueError, match="share"):
            draw_window(mask, **{"side": 2, "share": 0.5, "generator": generator} | wrong)
    with pytest.raises(ValueError, match="not empty"):
        draw_window(~mask, side=2, share=0.5, generator=generator)
