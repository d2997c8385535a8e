import inspect
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats

from maskspace.config import Choice, choose
from maskspace.data import READERS
from maskspace.data.chamfer import chamfer_depth
from maskspace.data.click_sampling import (
    CLICK_SAMPLERS,
    eroded,
    many_clicks,
    next_training_clicks,
    number_shares,
    one_click,
    one_signed_click,
    ring,
)
from maskspace.data.clicks import center_click
from maskspace.data.dense import dense

SIZE = 60


@pytest.fixture(scope="module")
def recorded(vectors):
    return json.loads((vectors / "segnext_vectors.json").read_text())


def rectangle(top, left, height, width, size=SIZE):
    mask = np.zeros((size, size), bool)
    mask[top : top + height, left : left + width] = True
    return mask


#: Two large roots, a part of the first, a root of 36 pixels.
NEST = np.stack(
    [
        rectangle(2, 3, 40, 30),
        rectangle(5, 6, 34, 20),
        rectangle(14, 36, 44, 24),
        rectangle(50, 2, 6, 6),
    ]
)
DEPTHS = np.array([0, 1, 0, 0])


def draw(sampler, seed, masks=NEST, depths=DEPTHS, **options):
    return sampler(masks, depths, np.random.default_rng(seed), **options)


def draws(sampler, count, **options):
    """Return the clicks and targets of several draws of one generator, by sign."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        one = sampler(NEST, DEPTHS, generator, **options)
        rows = one.clicks.astype(int)
        yield rows[rows[:, 2] == 1, :2], rows[rows[:, 2] == -1, :2], one.target


@pytest.mark.parametrize("name", sorted(CLICK_SAMPLERS))
def test_samplers_repeat_with_their_generator(name):
    sampler = CLICK_SAMPLERS[name]
    for seed in range(5):
        first, again = draw(sampler, seed), draw(sampler, seed)
        np.testing.assert_array_equal(first.clicks, again.clicks)
        np.testing.assert_array_equal(first.target, again.target)
    assert any((draw(sampler, 0).clicks != draw(sampler, seed).clicks).any() for seed in (1, 2))


@pytest.mark.parametrize("name", sorted(CLICK_SAMPLERS))
def test_samplers_are_chosen_with_their_keyword_options(name):
    sampler = choose(CLICK_SAMPLERS, Choice(name=name, options={"least_pixels": 10}), kind="clicks")
    assert sampler(NEST, DEPTHS, np.random.default_rng(0)).target.shape == (SIZE, SIZE)
    with pytest.raises(ValueError, match="unknown option 'corner_share'"):
        choose(CLICK_SAMPLERS, Choice(name=name, options={"corner_share": 0.5}), kind="clicks")


@pytest.mark.parametrize("name", sorted(CLICK_SAMPLERS))
def test_the_number_of_rows_is_fixed_and_signs_are_right(name):
    shapes = set()
    for seed in range(30):
        one = draw(CLICK_SAMPLERS[name], seed)
        shapes.add(one.clicks.shape)
        rows = one.clicks[one.clicks[:, 2] != 0].astype(int)
        assert np.isin(one.clicks[:, 2], [-1, 0, 1]).all()
        assert (rows[:, :2] >= 0).all() and (rows[:, :2] < SIZE).all()
        assert not one.clicks[one.clicks[:, 2] == 0].any()
    assert shapes == {(51, 3) if name == "many" else (1, 3)}


@pytest.mark.parametrize("name", sorted(CLICK_SAMPLERS))
def test_a_crop_without_masks_has_nothing_to_click(name):
    options = {"empty_share": 0.0} if name == "many" else {}
    for masks in (np.zeros((0, 9, 9), bool), np.zeros((2, 9, 9), bool)):
        depths = np.zeros(len(masks), np.int64)
        assert draw(CLICK_SAMPLERS[name], 0, masks, depths, **options) is None


@pytest.mark.parametrize("name", sorted(CLICK_SAMPLERS))
@pytest.mark.parametrize("mask", [rectangle(0, 0, 8, 8, 8), rectangle(2, 5, 1, 1, 8)])
def test_a_full_and_a_one_pixel_mask_are_clicked_inside(name, mask):
    one = draw(CLICK_SAMPLERS[name], 0, mask[None], np.zeros(1, np.int64), least_pixels=1)
    np.testing.assert_array_equal(one.target, mask)
    rows = one.clicks[one.clicks[:, 2] != 0].astype(int)
    inside = mask[rows[:, 0], rows[:, 1]]
    assert len(rows) and (name == "posneg" or (inside == (rows[:, 2] == 1)).all())
    assert inside.any()


def test_clicks_on_a_scene_lie_where_their_sign_says():
    sample = dense(READERS["scenes"]("", seed=0, limit=1)[0])
    depths = (sample.parents >= 0).astype(np.int64)
    for seed in range(20):
        one = draw(many_clicks, seed, sample.masks, depths, least_pixels=50)
        rows = one.clicks[one.clicks[:, 2] != 0].astype(int)
        np.testing.assert_array_equal(one.target[rows[:, 0], rows[:, 1]], rows[:, 2] == 1)


def test_targets_are_large_roots_or_the_union_of_two():
    roots = {NEST[0].tobytes(): "a", NEST[2].tobytes(): "b", NEST[[0, 2]].any(0).tobytes(): "ab"}
    found = [roots[target.tobytes()] for _, _, target in draws(many_clicks, 600)]
    counts = [found.count(name) for name in ("a", "b", "ab")]
    assert stats.chisquare(counts, 600 * np.array([0.425, 0.425, 0.15])).pvalue > 0.01


def test_numbers_of_clicks_follow_their_law():
    options = {"merge_share": 0.0, "max_positive": 6, "max_negative": 5}
    numbers = np.array([(len(p), len(n)) for p, n, _ in draws(many_clicks, 600, **options)])
    positive = np.bincount(numbers[:, 0], minlength=7)[1:]
    negative = np.bincount(numbers[:, 1], minlength=6)
    assert stats.chisquare(positive, 600 * number_shares(6)).pvalue > 0.01
    assert stats.chisquare(negative, 600 * number_shares(6)).pvalue > 0.01


def test_merged_objects_get_a_click_each_and_never_too_many():
    for most in (2, 5):
        numbers = []
        for positive, _, target in draws(many_clicks, 300, merge_share=1.0, max_positive=most):
            assert (target == NEST[[0, 2]].any(0)).all()
            on = NEST[[0, 2]][:, positive[:, 0], positive[:, 1]]
            assert on.any(axis=1).all() and on.any(axis=0).all()
            numbers.append(len(positive))
        assert min(numbers) == 2 and max(numbers) == most


def test_positive_clicks_lie_in_the_eroded_object():
    options = {"merge_share": 0.0, "erode_share": 1.0}
    for positive, _, target in draws(many_clicks, 200, **options):
        inner = eroded(target)
        assert inner.sum() < target.sum()
        assert inner[positive[:, 0], positive[:, 1]].all()


def test_without_other_objects_their_negative_clicks_come_from_the_background():
    masks, depths = np.stack([rectangle(20, 20, 10, 10), rectangle(0, 0, 8, 8)]), np.zeros(2, int)
    generator, around = np.random.default_rng(0), ring(masks[0])
    near = total = 0
    for _ in range(600):  # the second mask is too small to be an object
        rows = many_clicks(masks, depths, generator, least_pixels=100).clicks.astype(int)
        row, column, _ = rows[rows[:, 2] == -1].T
        near, total = near + int(around[row, column].sum()), total + len(row)
        assert not masks[0][row, column].any()
    background_share = around.sum() / (~masks[0]).sum()
    assert stats.binomtest(near, total, 0.5 + 0.5 * background_share).pvalue > 0.01


def test_negative_clicks_on_other_objects_have_their_share():
    masks, generator = NEST[[0, 2]], np.random.default_rng(0)
    outside = others = 0
    expected = 0.0
    for _ in range(600):
        one = many_clicks(masks, np.zeros(2, int), generator, merge_share=0.0)
        rows = one.clicks.astype(int)
        row, column, _ = rows[rows[:, 2] == -1].T
        other = masks.any(0) & ~one.target
        around, background = ring(one.target), ~one.target
        share = 0.4 + 0.5 * (other & around).sum() / around.sum()
        share += 0.1 * (other & background).sum() / background.sum()
        outside, others = outside + len(row), others + int(other[row, column].sum())
        expected += len(row) * share
    assert stats.binomtest(others, outside, expected / outside).pvalue > 0.01


def test_points_of_an_empty_region_are_dropped():
    mask = np.ones((1, SIZE, SIZE), bool)
    for seed in range(20):
        assert (draw(many_clicks, seed, mask, np.zeros(1, int)).clicks[:, 2] >= 0).all()


def test_crops_without_masks_are_taken_now_and_then_and_clicked_anywhere():
    masks, depths = np.zeros((0, 5, 6), bool), np.zeros(0, np.int64)
    generator = np.random.default_rng(0)
    drawn = [many_clicks(masks, depths, generator, empty_share=0.3) for _ in range(800)]
    taken = [one for one in drawn if one is not None]
    assert stats.binomtest(len(taken), 800, 0.3).pvalue > 0.01
    assert not any(one.target.any() or (one.clicks[:, 2] > 0).any() for one in taken)
    rows = np.concatenate([one.clicks[one.clicks[:, 2] < 0] for one in taken]).astype(int)
    counts = np.bincount(rows[:, 0] * 6 + rows[:, 1], minlength=30)
    assert stats.chisquare(counts).pvalue > 0.01


def test_roots_that_are_all_too_small_leave_an_empty_target():
    one = draw(many_clicks, 0, NEST[3:], DEPTHS[3:])
    assert not one.target.any() and (one.clicks[:, 2] <= 0).all()


def test_a_sampler_without_positive_clicks_is_refused():
    with pytest.raises(ValueError, match="max_positive must be at least 1; got 0"):
        draw(many_clicks, 0, max_positive=0)


def test_rows_are_positive_then_negative_then_spare():
    for seed in range(20):
        signs = draw(many_clicks, seed, max_positive=4, max_negative=3, spare=2).clicks[:, 2]
        assert (signs[:4] >= 0).all() and (signs[4:7] <= 0).all() and not signs[7:].any()


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_one_click_draws_masks_by_a_power_of_their_area(power):
    shares = NEST.sum(axis=(1, 2)) ** power * (NEST.sum(axis=(1, 2)) >= 64)
    index = {mask.tobytes(): i for i, mask in enumerate(NEST)}
    counts = np.zeros(len(NEST))
    for _, _, target in draws(one_click, 1000, power=power):
        counts[index[target.tobytes()]] += 1
    assert counts[3] == 0
    expected = 1000 * shares / shares.sum()
    assert stats.chisquare(counts[:3], expected[:3]).pvalue > 0.01


def test_one_click_is_at_the_centre_in_its_share():
    for share, least, most in ((0.0, 0, 10), (0.5, 160, 240), (1.0, 400, 400)):
        central = 0
        for positive, negative, target in draws(one_click, 400, centre_share=share):
            click = center_click(target)
            central += positive.tolist() == [[click.y, click.x]]
            assert target[tuple(positive[0])] and len(negative) == 0
        assert least <= central <= most


def test_one_signed_click_is_negative_on_the_region_that_it_removes():
    number = 0
    for positive, negative, target in draws(one_signed_click, 600, positive_share=0.7):
        assert len(positive) + len(negative) == 1
        assert target[tuple(np.concatenate([positive, negative])[0])]
        number += len(positive)
    assert stats.binomtest(number, 600, 0.7).pvalue > 0.01


def test_one_signed_click_always_positive_is_one_click():
    for seed in range(5):
        one, signed = draw(one_click, seed), draw(one_signed_click, seed, positive_share=1.0)
        np.testing.assert_array_equal(one.clicks, signed.clicks)
        np.testing.assert_array_equal(one.target, signed.target)
    options = [set(inspect.signature(f).parameters) for f in (one_signed_click, one_click)]
    assert options[0] - options[1] == {"positive_share"}


@settings(deadline=None)
@given(arrays(bool, (14, 15)))
def test_erosion_and_ring_are_repeated_steps_of_one_pixel(drawn):
    mask = ndimage.binary_closing(drawn, iterations=2) if drawn.any() else drawn
    square = np.ones((3, 3), bool)
    smaller = ndimage.binary_erosion(mask, square, iterations=3, border_value=1)
    np.testing.assert_array_equal(eroded(mask), smaller if smaller.sum() > 10 else mask)
    steps = int(np.ceil(0.1 * np.sqrt(mask.sum())))
    larger = ndimage.binary_dilation(mask, square, iterations=steps) if steps else mask
    np.testing.assert_array_equal(ring(mask), larger & ~mask)


def test_the_border_of_the_image_does_not_erode():
    assert eroded(np.ones((6, 7), bool)).all()


def test_laws_and_regions_are_those_recorded_from_segnext(recorded):
    shares = recorded["number_of_points_probabilities"]
    np.testing.assert_allclose(number_shares(24), shares["positive_24"], rtol=1e-12)
    np.testing.assert_allclose(number_shares(25), shares["negative_25"], rtol=1e-12)
    case, box = recorded["sampler_masks"], rectangle(3, 4, 16, 16, 24)
    for region, count, bounds in (
        (eroded(box), case["erode_16x16_box"][0], case["erode_16x16_box"][1:]),
        (ring(box), case["border_pixels"], case["border_bbox"]),
    ):
        pixels = np.argwhere(region)
        assert len(pixels) == count
        assert [*pixels.min(axis=0), *pixels.max(axis=0)] == bounds
    small = rectangle(3, 4, 9, 9, 24)
    assert (eroded(small) == small).all() == case["erode_9x9_box_falls_back"]


MAPS = arrays(np.float32, (2, 6, 7), elements=st.sampled_from([0.0, 0.48, 0.49, 0.5, 1.0]))
TRUTHS = arrays(np.float32, (2, 6, 7), elements=st.sampled_from([-1.0, 0.0, 1.0]))


@settings(deadline=None)
@given(MAPS, TRUTHS, st.integers(0, 9))
def test_simulated_clicks_lie_in_the_deeper_half_of_the_deeper_error(probability, truth, seed):
    clicks = next_training_clicks(probability, truth, np.random.default_rng(seed))
    limit = np.float32(0.49)
    for (row, column, sign), p, t in zip(clicks.astype(int), probability, truth, strict=True):
        missed = chamfer_depth(((t > 0.5) & (p < limit))[None])[0]
        excess = chamfer_depth(((t <= 0.5) & (p > limit))[None])[0]
        if missed.max() == excess.max() == 0:
            assert (row, column, sign) == (0, 0, 0)
            continue
        assert sign == (1 if missed.max() > excess.max() else -1)
        depths = missed if sign == 1 else excess
        assert depths[row, column] > depths.max() / 2


def test_simulated_clicks_repeat_and_are_uniform_over_the_recorded_candidates(recorded):
    case = recorded["training_next_click"]
    candidates = [tuple(c[:2]) for c in case["positive_case_candidates_row_col_index"]]
    truth = np.zeros((500, 12, 16), np.float32)
    truth[:, 2:9, 3:8] = 1
    empty = np.zeros_like(truth)
    clicks = next_training_clicks(empty, truth, np.random.default_rng(0))
    np.testing.assert_array_equal(
        clicks, next_training_clicks(empty, truth, np.random.default_rng(0))
    )
    assert (clicks[:, 2] == 1).all()
    found = [tuple(click) for click in clicks[:, :2].astype(int).tolist()]
    assert set(found) == set(candidates)
    assert stats.chisquare([found.count(candidate) for candidate in candidates]).pvalue > 0.01
    negative = next_training_clicks(truth, empty, np.random.default_rng(0))
    assert (negative[:, 2] == -1).all()


def test_a_perfect_prediction_gets_no_simulated_click():
    truth = np.stack([NEST[0], np.zeros_like(NEST[0]), np.ones_like(NEST[0])]).astype(np.float32)
    assert not next_training_clicks(truth, truth, np.random.default_rng(0)).any()
    assert next_training_clicks(truth[:0], truth[:0], np.random.default_rng(0)).shape == (0, 3)
