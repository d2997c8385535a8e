import itertools
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from maskspace.metrics.boundary import (
    BoundaryCounts,
    boundary_counts,
    boundary_f,
    boundary_summaries,
    boundary_summary,
    f_measure,
    matched_pixels,
    region_boundaries,
    thinned,
)

FEW = arrays(bool, (3, 4), elements=st.sampled_from([False, False, True]))


def largest_matching(predicted, true, reach):
    left, right = np.argwhere(predicted), np.argwhere(true)
    small, large = sorted((left, right), key=len)
    return max(
        sum(np.hypot(*(a - b)) <= reach for a, b in zip(small, chosen, strict=True))
        for chosen in itertools.permutations(large, len(small))
    )


@settings(max_examples=40)
@given(FEW, FEW, st.sampled_from([0.0, 1.0, 1.5, 2.3]))
def test_matching_is_the_largest_of_all_pairings(predicted, true, reach):
    predicted[2], true[2] = False, False
    partners = matched_pixels(predicted, true, reach=reach)
    assert not (partners & ~predicted).any()
    assert partners.sum() == largest_matching(predicted, true, reach)
    assert partners.sum() == matched_pixels(true, predicted, reach=reach).sum()


def least_cost(predicted, true, reach):
    """The benchmark's optimum: distances, and a far larger cost of a pixel without a partner."""
    left, right = np.argwhere(predicted), np.argwhere(true)
    distance = np.hypot(*(left[:, None] - right[None]).T).T
    cost = np.where(distance <= reach, distance, 100 * reach)
    rows, columns = linear_sum_assignment(cost)
    paired = distance[rows, columns] <= reach
    return int(paired.sum()), left[rows[paired]]


@settings(max_examples=60)
@given(
    arrays(bool, (7, 9), elements=st.booleans()),
    arrays(bool, (7, 9), elements=st.sampled_from([False, False, True])),
    st.sampled_from([1.0, 1.5, 2.3, 4.4]),
)
def test_matching_is_as_large_as_the_cheapest_and_keeps_the_nearest_pixels(predicted, true, reach):
    found = matched_pixels(predicted, true, reach=reach)
    assert found.sum() == least_cost(predicted, true, reach)[0]
    pixels = np.argwhere(predicted)
    away = np.array([np.hypot(*(np.argwhere(true) - one).T).min(initial=99) for one in pixels])
    kept = np.zeros_like(predicted)  # pixel by pixel, each that still can have a partner
    for place in np.argsort(np.round(away**2), kind="stable"):
        kept[tuple(pixels[place])] = True
        if least_cost(kept, true, reach)[0] < kept.sum():
            kept[tuple(pixels[place])] = False
    assert (found == kept).all()


def test_a_thinned_boundary_is_part_of_it_and_one_pixel_wide():
    labels = np.add.outer(np.arange(40), np.arange(40)) // 20  # diagonals, two pixels wide
    boundary = region_boundaries(labels)
    thin = thinned(boundary)
    assert not (thin & ~boundary).any() and 1.8 * thin.sum() < boundary.sum()
    assert (thinned(thin) == thin).all()


def test_average_precision_is_the_area_under_a_line_and_nothing_beyond_it():
    scales = [
        BoundaryCounts(matched_predicted=p, predicted=100, matched_true=r, true=100)
        for r, p in ((50, 40), (0, 90), (25, 65))
    ]
    expected = sum(0.9 - r / 100 for r in range(51)) / 100
    assert boundary_summary([scales]).ap == pytest.approx(expected)
    assert boundary_summary([scales[:1]]).ap == 0


def test_a_resample_is_the_data_set_with_images_repeated():
    generator = np.random.default_rng(0)
    images = [
        [
            BoundaryCounts(matched_predicted=p // 2, predicted=p, matched_true=t // 3, true=t)
            for p, t in generator.integers(1, 90, (4, 2)).tolist()
        ]
        for _ in range(5)
    ]
    times = generator.integers(0, 3, (6, 5)).astype(float)
    for row, found in zip(times, boundary_summaries(images, times), strict=True):
        repeated = [one for one, n in zip(images, row.astype(int), strict=True) for _ in range(n)]
        assert tuple(found) == pytest.approx(astuple(boundary_summary(repeated)))


def test_boundaries_are_found_pixel_by_pixel():
    labels = np.random.default_rng(0).integers(0, 3, (6, 7))
    for (y, x), found in np.ndenumerate(region_boundaries(labels)):
        block = labels[y : y + 2, x : x + 2]
        assert found == (block != labels[y, x]).any()


def test_perfect_is_one_nothing_is_zero_and_no_boundary_is_right_where_there_is_none():
    labels = np.kron(np.arange(4).reshape(2, 2), np.ones((20, 20), int))
    one = np.ones_like(labels)
    assert boundary_f(labels, [labels, labels]) == 1
    assert boundary_f(one, [labels]) == boundary_f(labels, [one]) == 0
    assert boundary_f(one, [one]) == 1


def test_a_shift_within_the_tolerance_costs_nothing_and_beyond_it_everything():
    line = np.zeros((300, 400), bool)  # diagonal 500: tolerance 3.75 pixels
    line[:, 200] = True
    for shift, matched in ((3, 300), (4, 0)):
        counts = boundary_counts(np.roll(line, shift, axis=1), [line])
        assert counts.matched_predicted == counts.matched_true == matched


def test_thick_boundaries_match_one_to_one_only():
    line = np.zeros((100, 100), bool)
    line[:, 50] = True
    thick = line | np.roll(line, 1, axis=1)
    counts = boundary_counts(thick, [line], tolerance=0.02)
    assert counts.matched_predicted == counts.matched_true == 100
    assert counts.predicted == 200 and f_measure(counts) == pytest.approx(2 / 3)


def test_a_pixel_that_any_annotator_drew_is_precise_and_every_annotator_is_recalled():
    left, right = np.zeros((2, 100, 100), bool)
    left[:, 20], right[:, 70] = True, True
    counts = boundary_counts(left | right, [left, right])
    assert counts == BoundaryCounts(matched_predicted=200, predicted=200, matched_true=200,
                                    true=200)  # fmt: skip
    alone = boundary_counts(left, [left, right])
    assert alone.matched_predicted == alone.predicted == 100
    assert alone.matched_true == 100 and alone.true == 200


def test_counts_are_pooled_before_they_are_divided():
    few = BoundaryCounts(matched_predicted=1, predicted=1, matched_true=1, true=1)
    many = BoundaryCounts(matched_predicted=0, predicted=99, matched_true=0, true=99)
    summary = boundary_summary([[few, many], [many, few]])
    assert summary.ods == pytest.approx(0.01)
    assert summary.ois == 1
    with pytest.raises(ValueError, match="different numbers of scales"):
        boundary_summary([[few], [few, many]])
    with pytest.raises(ValueError, match="no true label map"):
        boundary_f(np.ones((2, 2), int), [])
