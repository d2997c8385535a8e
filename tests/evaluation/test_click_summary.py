from dataclasses import replace

import numpy as np
import pytest

from maskspace.evaluation.click_summary import click_metrics, click_record
from maskspace.evaluation.config import SEGNEXT_PROTOCOL
from maskspace.evaluation.metric_names import answered_runs, iou_curve
from maskspace.evaluation.rows import Row

NAME = "center_049_iterative"


def row(key, ious, changes=(), **fields):
    return Row(
        dataset="d", model="m", key=key, masks=len(ious), masks_too_small=0, pixels=200,
        click_ious={NAME: ious}, changes={NAME: list(changes)}, **fields,
    )  # fmt: skip


def measure(rows, **options):
    not_answered = {}
    config = replace(SEGNEXT_PROTOCOL, **options)
    return click_metrics(rows, config, not_answered), not_answered


def test_every_mask_counts_once_whatever_its_image():
    found, _ = measure([row("a", [[0.2, 0.4], [0.4, 0.6]]), row("b", [[0.9, 0.95]])], max_clicks=2)
    assert found[f"miou_at_1_{NAME}"] == pytest.approx(0.5)
    assert found[f"miou_at_2_{NAME}"] == pytest.approx(0.65)
    assert found[f"noc_90_{NAME}"] == pytest.approx(5 / 3)
    assert found[f"nof_90_{NAME}"] == found[f"never_90_{NAME}"] == 2
    assert found[f"nof_95_{NAME}"] == 3 and found[f"never_95_{NAME}"] == 2


def test_a_perfect_mask_that_was_asked_no_further_stays_perfect():
    rows = [row("a", [[1.0], [0.5, 0.5, 0.6]])]
    found, _ = measure(rows, max_clicks=3, target_iou=1.0)
    assert [found[f"miou_at_{k}_{NAME}"] for k in (1, 2, 3)] == pytest.approx([0.75, 0.75, 0.8])
    assert found[f"noc_85_{NAME}"] == 2


def test_runs_that_end_at_a_target_have_clicks_but_no_later_mean_iou():
    rows = [row("a", [[0.96], [0.5, 0.5, 0.6]])]
    found, not_answered = measure(rows, max_clicks=3, target_iou=0.95)
    assert f"miou_at_1_{NAME}" in found and f"miou_at_2_{NAME}" not in found
    assert "clicks end at an IoU of 0.95" in not_answered[f"miou_at_2_{NAME}"]
    assert found[f"noc_95_{NAME}"] == 2


def test_locality_is_a_mean_over_clicks_that_changed_and_over_all_of_the_image():
    changes = [[(10, 5), (0, 0)], [(20, 0), (4, 4)]]
    found, _ = measure([row("a", [[0.1] * 3, [0.1] * 3], changes)], max_clicks=3)
    assert found[f"changed_outside_{NAME}"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert found[f"changed_outside_of_image_{NAME}"] == pytest.approx(9 / 200 / 4)
    still, not_answered = measure([row("a", [[0.1] * 3], [[(0, 0), (0, 0)]])], max_clicks=3)
    assert f"changed_outside_{NAME}" not in still
    assert "no further click changed anything" in not_answered[f"changed_outside_{NAME}"]
    assert still[f"changed_outside_of_image_{NAME}"] == 0


def test_the_best_level_is_pooled_as_the_rest():
    rows = [row("a", [[0.5]], best_level={"center": [0.6]}),
            row("b", [[0.5], [0.5]], best_level={"center": [0.9, 0.9]})]  # fmt: skip
    found, _ = measure(rows, max_clicks=1)
    assert found["miou_at_1_center_best_level"] == pytest.approx(0.8)
    assert answered_runs(found) == [NAME]


def test_what_is_not_answered_is_absent():
    found, _ = measure([row("a", [[0.5]])], clickers=("random",), max_clicks=1)
    assert found == {}


def test_a_curve_has_every_click():
    found, _ = measure([row("a", [np.linspace(0.1, 0.9, 12).tolist()])], max_clicks=12)
    curve = iou_curve(found, NAME)
    assert [k for k, _ in curve] == list(range(1, 13))
    np.testing.assert_allclose([iou for _, iou in curve], np.linspace(0.1, 0.9, 12))


def test_a_record_is_rectangular():
    np.testing.assert_array_equal(
        click_record([[0.5], [0.1, 0.2]], 3), [[0.5, np.nan, np.nan], [0.1, 0.2, np.nan]]
    )
    assert click_record([], 3).size == 0
