import numpy as np
import pytest

from maskspace.metrics import bootstrap
from maskspace.metrics.bootstrap import confidence_interval, paired_difference


def drawn(seed, images=30, measures=2):
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 9, images)
    return generator.random((images, measures)) * counts[:, None], counts


def generator():
    return np.random.default_rng(7)


def test_equals_the_loop_over_resamples():
    sums, counts = drawn(0)
    found = confidence_interval(sums, counts, generator=generator(), resamples=50)
    rows = generator().integers(30, size=(50, 30))
    means = np.array([sums[row].sum(axis=0) / counts[row].sum() for row in rows])
    np.testing.assert_allclose(found.value, sums.sum(axis=0) / counts.sum())
    np.testing.assert_allclose(found.low, np.quantile(means, 0.025, axis=0))
    np.testing.assert_allclose(found.high, np.quantile(means, 0.975, axis=0))


def test_portions_draw_what_one_call_draws():
    """So many images that their resamples come in several portions."""
    images, number = 3000, 1500
    assert number * images > 2 * bootstrap._AT_ONCE
    sums = np.random.default_rng(1).random((images, 1))
    found = confidence_interval(sums, np.ones(images, int), generator=generator(), resamples=number)
    means = sums[generator().integers(images, size=(number, images)), 0].mean(axis=1)
    np.testing.assert_allclose(found.low, np.quantile(means, 0.025))


def test_the_seed_decides():
    sums, counts = drawn(1)
    whole = confidence_interval(sums, counts, generator=generator(), resamples=40)
    again = confidence_interval(sums, counts, generator=generator(), resamples=40)
    np.testing.assert_array_equal(whole.low, again.low)
    other = confidence_interval(sums, counts, generator=np.random.default_rng(8), resamples=40)
    assert (other.low != whole.low).any()


def test_more_confidence_is_a_wider_interval_around_the_mean():
    sums, counts = drawn(2)
    narrow, wide = (
        confidence_interval(sums, counts, generator=generator(), confidence=confidence)
        for confidence in (0.5, 0.99)
    )
    assert (wide.low < narrow.low).all() and (narrow.high < wide.high).all()
    assert (narrow.low < narrow.value).all() and (narrow.value < narrow.high).all()


def test_copies_of_masks_inside_images_narrow_nothing():
    """Ten times the masks, all as the first: the images tell no more than they did."""
    sums, counts = drawn(3)
    one = confidence_interval(sums, counts, generator=generator())
    ten = confidence_interval(10 * sums, 10 * counts, generator=generator())
    np.testing.assert_allclose(one.high - one.low, ten.high - ten.low)


def test_images_without_masks_take_no_part():
    sums, counts = drawn(4)
    more = np.concatenate([sums, np.zeros((5, 2))]), np.concatenate([counts, np.zeros(5, int)])
    np.testing.assert_array_equal(
        confidence_interval(*more, generator=generator()).low,
        confidence_interval(sums, counts, generator=generator()).low,
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    source = np.random.default_rng(0)
    data = source.normal(0.5, 0.2, (60, 400))  # images x experiments
    found = confidence_interval(data, np.ones(60, int), generator=generator(), resamples=600)
    held = ((found.low <= 0.5) & (found.high >= 0.5)).mean()
    assert 0.90 <= held <= 0.98


def test_a_method_against_itself_differs_by_nothing():
    sums, counts = drawn(5)
    same = paired_difference(sums, sums, counts, generator=generator())
    assert (same.value == 0).all() and (same.low == 0).all() and (same.high == 0).all()
    assert (same.p_value == 1).all()


def test_pairing_cancels_what_makes_images_hard():
    source = np.random.default_rng(1)
    hard = source.random((50, 1))
    better = hard + 0.02 + source.normal(0, 0.01, (50, 1))
    counts = np.ones(50, int)
    found = paired_difference(better, hard, counts, generator=generator(), resamples=999)
    assert found.low[0] > 0 and found.p_value[0] == pytest.approx(2 / 1000)
    alone = confidence_interval(better, counts, generator=generator())
    assert alone.low[0] < hard.mean()  # unpaired, the two cannot be told apart
    swapped = paired_difference(hard, better, counts, generator=generator(), resamples=999)
    np.testing.assert_allclose([swapped.low, swapped.high], [-found.high, -found.low])


def test_p_values_of_equal_methods_are_spread_evenly():
    source = np.random.default_rng(2)
    noise = source.normal(0, 1, (60, 400))
    found = paired_difference(noise, np.zeros_like(noise), np.ones(60, int),
                              generator=generator(), resamples=600)  # fmt: skip
    assert 0.02 <= (found.p_value <= 0.05).mean() <= 0.10


def test_too_little_is_refused():
    sums, counts = drawn(6)
    with pytest.raises(ValueError, match="1 images have masks"):
        confidence_interval(sums[:1], counts[:1], generator=generator())
    with pytest.raises(ValueError, match="not finite"):
        confidence_interval(sums * np.nan, counts, generator=generator())
    with pytest.raises(ValueError, match="got 0"):
        confidence_interval(sums, counts, generator=generator(), resamples=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        confidence_interval(sums, counts, generator=generator(), confidence=1.0)
