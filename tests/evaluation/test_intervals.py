"""Laws of the intervals: they hold the mean, and a comparison is the other's opposite."""

from dataclasses import replace

import numpy as np
import pytest

from maskspace.evaluation.config import PROTOCOLS
from maskspace.evaluation.intervals import comparisons, intervals
from maskspace.evaluation.measures import figures_of
from maskspace.evaluation.rows import Row
from maskspace.evaluation.summary import summarize

FIGURES = figures_of(PROTOCOLS["maskspace"])


def rows_of(model, *, shift=0.0, images=12, seed=0):
    """Images of 1 to 5 masks, and one without."""
    random = np.random.default_rng(seed)
    found = [Row(dataset="d", model=model, key="none", masks=0, masks_too_small=1)]
    for index in range(images):
        masks = int(random.integers(1, 6))
        clicked, best = random.random((2, masks)) * 0.8 + shift
        found.append(
            Row(
                dataset="d",
                model=model,
                key=f"{index:03}",
                masks=masks,
                masks_too_small=0,
                kept={
                    "miou_at_1_center": clicked.tolist(),
                    "mean_best_iou_1": (best / 2).tolist(),
                    "mean_best_iou_5": best.tolist(),
                    "ar_1": [
                        int(random.integers(0, 8 * masks + 1) + 10 * masks * shift),
                        10 * masks,
                    ],
                    "proposals": [3.0],
                },
                areas=random.integers(300, 20_000, masks).tolist(),
                click_ious={"center": [[iou] for iou in clicked.tolist()]},
                not_answered={"embed": "no"},
            )
        )
    return found


def summary(rows):
    return summarize(rows, config=PROTOCOLS["maskspace"], ranking={"m": "score", "n": "score"})


def test_intervals_hold_the_means_and_every_mean_has_one():
    values = summary(rows_of("m"))["m"]
    found = values["interval_95"]
    assert set(found) == {"miou_at_1_center", "mean_best_iou_1", "mean_best_iou_5", "ar_1"}
    for name, bounds in found.items():
        assert bounds["low"] < values[name] < bounds["high"]
    order = np.random.default_rng(1).permutation(13)
    rows = rows_of("m")
    assert intervals([rows[i] for i in order], FIGURES, seed=0) == intervals(rows, FIGURES, seed=0)


def pooled_rows(model, *, shift, seed):
    """Images of three scales: pixels covered of 100, two other numbers, and matched boundaries."""
    random = np.random.default_rng(seed)
    found = []
    for index in range(9):
        covered = random.uniform(20, 60, 3) + shift
        matched = random.integers(10, 40, 3) + shift
        kept = {
            "regions": [covered.tolist(), [float(covered.max())], [100.0], [0.5] * 3, [1.0] * 3],
            "boundary_f": [[int(one), 80, int(one), 80] for one in matched],
        }
        found.append(Row(dataset="d", model=model, key=str(index), masks=1, masks_too_small=0,
                         kept=kept))  # fmt: skip
    return found


def test_figures_that_are_no_means_have_intervals_and_are_compared_too():
    first, second = pooled_rows("m", shift=20, seed=0), pooled_rows("n", shift=0, seed=0)
    for rows in (first, second):
        found = intervals(rows, FIGURES, seed=0)
        for name in ("covering_ods", "covering_ois", "boundary_f_ods", "boundary_f_ois"):
            value = FIGURES[name].of_dataset([row.kept[FIGURES[name].measure] for row in rows])
            assert found[name]["low"] <= value <= found[name]["high"]
    gains = {one.measure: one for one in comparisons(first + second, FIGURES, seed=0)}
    assert gains["covering_ois"].difference == pytest.approx(0.2)  # of every resample the same
    assert gains["covering_ois"].low == pytest.approx(gains["covering_ois"].high)
    assert gains["rand_ods"].difference == 0 and gains["rand_ods"].p_value == 1


def test_an_interval_needs_two_images():
    assert summary(rows_of("m", images=1))["m"]["interval_95"] == {}
    assert not list(comparisons(rows_of("m", images=1) + rows_of("n", images=1), FIGURES, seed=0))


def test_a_comparison_is_the_opposite_of_the_other_way_round():
    first, second = rows_of("m", shift=0.1), rows_of("n", seed=3)
    second = [
        replace(b, masks=a.masks, **same_masks(a, b)) for a, b in zip(first, second, strict=True)
    ]
    forth, back = (
        list(comparisons(first + second, FIGURES, seed=0)),
        list(comparisons(second + first, FIGURES, seed=0)),
    )
    for one, other in zip(forth, back, strict=True):
        assert (one.model, one.other, one.measure) == (other.other, other.model, other.measure)
        assert one.difference == pytest.approx(-other.difference)
        assert one.low == pytest.approx(-other.high)
        assert one.p_value == other.p_value


def same_masks(a, b):
    """The answers of `b`, as many as the masks of `a`."""
    values = np.resize([iou[0] for iou in b.click_ious.get("center", [[0.0]])], a.masks)
    return {
        "areas": a.areas,
        "click_ious": {"center": [[iou] for iou in values.tolist()]} if a.masks else {},
        "kept": {
            "miou_at_1_center": values.tolist(),
            "mean_best_iou_1": (values / 2).tolist(),
            "mean_best_iou_5": values.tolist(),
        }
        if a.masks
        else {},
    }


def test_a_model_does_not_differ_from_itself_and_a_constant_gain_is_certain():
    same = rows_of("m") + [replace(row, model="n") for row in rows_of("m")]
    assert all(
        one.difference == 0 and one.p_value == 1 for one in comparisons(same, FIGURES, seed=0)
    )
    better = rows_of("m", shift=0.1) + [replace(row, model="n") for row in rows_of("m")]
    for one in comparisons(better, FIGURES, seed=0):
        gain = 0.05 if one.measure == "mean_best_iou_1" else 0.1
        assert one.low == pytest.approx(gain) and one.high == pytest.approx(gain)
        assert one.p_value < 0.001


def test_sizes_share_the_masks_between_them():
    rows = rows_of("m")
    values = summary(rows)["m"]
    areas = np.array([area for row in rows for area in row.areas])
    best = np.array([iou for row in rows for iou in row.kept.get("mean_best_iou_5", [])])
    by_size = values["mean_best_iou_by_size"]["5"]
    assert by_size["all"] == values["mean_best_iou_5"]
    assert by_size["small"] == pytest.approx(best[areas <= 32**2].mean())
    assert by_size["large"] == pytest.approx(best[areas >= 96**2].mean())
