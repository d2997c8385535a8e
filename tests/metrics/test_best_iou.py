import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks
from maskspace.metrics.best_iou import (
    best_iou,
    best_match_recall,
    mean_best_iou,
    recall_integral,
)
from maskspace.metrics.recall import THRESHOLDS, greedy_matches, recall_at

TABLES = arrays(np.float64, st.tuples(st.integers(0, 6), st.integers(1, 5)),
                elements=st.floats(0, 1))  # fmt: skip

BESTS = arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1))


@given(TABLES)
def test_curve_equals_the_loop_over_budgets(iou):
    counts = [1, 2, 4, 100]
    curve = best_iou(iou, counts)
    for row, count in zip(curve, counts, strict=True):
        assert row.tolist() == iou[:count].max(axis=0, initial=0).tolist()
    assert (np.diff(curve, axis=0) >= 0).all()


@given(TABLES)
def test_order_inside_a_budget_does_not_matter(iou):
    assert (best_iou(iou, [10]) == best_iou(iou[::-1], [10])).all()


@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1)))
def test_mean_best_iou_is_the_integral_of_recall_over_iou(best):
    # Recall is a step function that changes at the best IoUs only, so its integral is a finite sum.
    steps = np.unique(np.concatenate([[0.0], best, [1.0]]))
    recall = best_match_recall(best, steps[1:])
    assert (np.diff(steps) * recall).sum() == pytest.approx(best.mean(), abs=1e-12)


@given(BESTS, st.sampled_from([0.0, 0.25, 0.5]))
def test_recall_integral_is_the_integral_of_recall_above(best, low):
    steps = np.unique(np.concatenate([[low], best[best > low], [1.0]]))
    integral = (np.diff(steps) * best_match_recall(best, steps[1:])).sum() / (1 - low)
    assert recall_integral(best, low=low) == pytest.approx(integral, abs=1e-12)


@given(BESTS)
def test_mean_best_iou_is_made_of_recall_above_and_what_lies_below_a_half(best):
    above, at_half = recall_integral(best, low=0.5), best_match_recall(best, np.array([0.5]))[0]
    below = (best * (best < 0.5)).mean()
    assert best.mean() == pytest.approx((above + at_half) / 2 + below, abs=1e-12)
    assert recall_integral(best) == pytest.approx(best.mean(), abs=1e-12)


@given(BESTS)
def test_ten_thresholds_exceed_the_integral_by_at_most_a_tenth_of_the_recall_lost(best):
    ten = best_match_recall(best, THRESHOLDS).mean()
    at_half, at_one = best_match_recall(best, np.array([0.5, 1.0]))
    exact = recall_integral(best, low=0.5)
    assert exact - 1e-9 <= ten <= exact + 0.1 * (at_half - at_one) + 1e-9


@given(BESTS, st.integers(1, 200))
def test_a_grid_of_thresholds_errs_by_at_most_one_step(best, number):
    grid = (np.arange(number) + 1) / number
    recall = best_match_recall(best, grid).mean()
    assert recall - 1e-9 <= best.mean() <= recall + 1 / number + 1e-9


@given(TABLES)
def test_mean_best_iou_is_at_least_nineteen_twentieths_of_greedy_recall(iou):
    greedy = recall_at(greedy_matches(iou), [99])[0]
    assert best_iou(iou, [99])[0].mean() >= 0.95 * greedy - 1e-9


def test_one_proposal_for_two_truths_parts_the_two_recalls():
    iou = np.array([[0.8, 0.9]])
    assert recall_at(greedy_matches(iou), [1])[0] < best_match_recall(iou[0], THRESHOLDS).mean()


def test_a_thousand_budgets_are_one_pass():
    iou = np.random.default_rng(0).random((1000, 7)) ** 4
    curve = best_iou(iou, range(1, 1001))
    assert curve.shape == (1000, 7)
    np.testing.assert_array_equal(curve[-1], iou.max(axis=0))


@given(TABLES)
def test_greedy_recall_is_at_most_best_match_recall(iou):
    bound = best_match_recall(best_iou(iou, [99])[0], THRESHOLDS).mean()
    assert recall_at(greedy_matches(iou), [99])[0] <= bound + 1e-9


def test_perfect_and_worst():
    truths = np.eye(4, dtype=bool).reshape(4, 2, 2)
    assert mean_best_iou(truths[::-1], truths) == 1
    assert mean_best_iou(truths[:1], truths) == 0.25
    assert mean_best_iou(truths, truths, limit=1) == 0.25
    assert mean_best_iou(truths[:0], truths) == 0
    assert mean_best_iou(~truths[:1] & False, truths) == 0


def test_is_one_for_the_proposals_that_hold_every_truth_of_a_photo(assets):
    from PIL import Image

    labels = np.asarray(Image.open(sorted(assets.glob("bsds500/val/groundTruth/*.png"))[0]))
    _, truths = masks.from_label_map(labels.astype(np.int64))
    assert mean_best_iou(truths, truths) == 1


def test_a_budget_of_none_and_no_truth_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        best_iou(np.zeros((2, 2)), [0])
    with pytest.raises(ValueError, match=r"from an IoU in \[0, 1\)"):
        recall_integral(np.ones(1), low=1.0)
    with pytest.raises(ValueError, match="no true mask"):
        mean_best_iou(np.zeros((1, 2, 2), bool), np.zeros((0, 2, 2), bool))
