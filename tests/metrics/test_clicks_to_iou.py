import numpy as np
import pytest

from maskspace.metrics.clicks_to_iou import click_iou, clicks_to_iou, mean_iou_at

NOTHING = np.zeros((2, 3), bool)


def test_perfect_is_one_opposite_is_zero():
    mask = np.array([[[1, 1, 0], [0, 0, 0]]], bool)
    assert click_iou(mask, mask, NOTHING) == [1]
    assert click_iou(~mask, mask, NOTHING) == [0]


def test_ignored_pixels_change_nothing():
    generator = np.random.default_rng(0)
    predicted, true = generator.random((2, 5, 2, 3)) < 0.5
    ignore = np.array([[0, 1, 0], [0, 0, 1]], bool)
    before = click_iou(predicted, true, ignore)
    np.testing.assert_array_equal(before, click_iou(predicted ^ ignore, true, ignore))
    np.testing.assert_array_equal(before, click_iou(predicted, true ^ ignore, ignore))


def test_nothing_over_nothing_is_not_a_number():
    empty = NOTHING[None]
    assert np.isnan(click_iou(empty, empty, NOTHING)[0])
    assert np.isnan(click_iou(~empty, ~empty, ~NOTHING)[0])


def test_clicks_to_iou_is_the_first_that_reaches_and_the_last_if_none():
    ious = np.array([[0.2, 0.9, 0.5], [0.1, 0.2, 0.3], [0.85, 0.1, 0.9]])
    assert clicks_to_iou(ious, target=0.85).tolist() == [2, 3, 1]


def test_mean_iou_at_a_click():
    ious = np.array([[0.2, 0.9], [0.4, 0.5]])
    assert mean_iou_at(ious, click=1) == pytest.approx(0.3)
    assert mean_iou_at(ious, click=2) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="click 3 was not made"):
        mean_iou_at(ious, click=3)
