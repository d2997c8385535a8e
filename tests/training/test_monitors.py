import math

import pytest
import torch

from maskspace.training.config import EarlyStop
from maskspace.training.monitors import (
    collapse_verdict,
    feature_std,
    has_stopped,
    mean_terms,
    refuse_broken,
    validations_since_best,
)


def test_a_constant_output_has_no_spread_and_a_verdict():
    assert feature_std(torch.full((2, 3, 4, 4), 0.4)) < 1e-6
    assert "constant output" in str(collapse_verdict({"val_std": 0.0}))


def test_spread_is_at_most_a_half_for_colours():
    halves = torch.zeros(1, 3, 2, 4)
    halves[..., 2:] = 1
    assert feature_std(halves) == 0.5
    assert collapse_verdict({"std/1": 0.5}) is None


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"std/1": 0.2, "std/4": 1e-5}, "head 4 vary by 1.0e-05"),
        ({"std/1": 0.2, "std/seed": 0.0}, None),  # a head may begin constant
        ({"std/direction": 0.0, "std/energy": 0.0}, "constant output"),
        ({"std/direction": 0.2, "std/energy": 0.0}, None),
        ({"std/1": 0.2, "between_within/1": 1e-4, "mean_distance/1": 1e-3}, "head 1 coincide"),
        ({"std/1": 0.2, "between_within/1": 0.0, "mean_distance/1": 0.0}, None),  # no pair to see
        ({"std/1": 0.2, "gradient": 0.0, "loss": 0.7}, "stationary point"),
        ({"std/1": 0.2, "gradient": 0.0, "loss": 0.0}, None),  # all is learnt
    ],
)
def test_a_verdict_says_why(figures, told):
    for row in (figures, {f"val_{name}": value for name, value in figures.items()}):
        verdict = collapse_verdict(row)
        assert verdict is None if told is None else told in str(verdict)


def test_spread_between_images_does_not_count():
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    assert feature_std(images) == 0


def test_terms_are_averaged_by_name():
    rows = [{"pull": torch.tensor(1.0)}, {"pull": torch.tensor(3.0)}]
    assert mean_terms(rows) == {"pull": 2.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_broken_step_is_named_with_its_terms(value):
    rows = [{"pull": torch.tensor(1.0), "push": torch.tensor(1.0)} for _ in range(4)]
    rows[2]["push"] = rows[3]["pull"] = torch.tensor(value)
    with pytest.raises(ValueError, match=r"training: push became .* at step 13;"):
        refuse_broken(rows, first=11)
    refuse_broken(rows[:2], first=11)
    with pytest.raises(ValueError, match="step 13; its samples were a/12, a/13; lower"):
        refuse_broken(rows, first=11, keys=lambda step: [f"a/{step}", f"a/{step + 1}"])


@pytest.mark.parametrize(
    ("mode", "values", "since"),
    [
        ("max", [1.0, 3.0, 2.0], 1),
        ("min", [1.0, 3.0, 2.0], 2),
        ("max", [1.0, 2.0, 2.0], 1),
        ("max", [1.0, 2.0, math.nan], 1),
        ("min", [math.nan, 2.0], 0),
    ],
)
def test_a_tie_and_what_is_no_number_are_no_improvement(mode, values, since):
    rule = EarlyStop(monitor="val_iou", mode=mode, patience=2)
    history = [{"val_iou": value} for value in values]
    assert validations_since_best(history, rule) == since
    assert has_stopped(history, rule) == (since >= 2)


def test_no_rule_and_no_validation_stop_nothing():
    rule = EarlyStop(monitor="val_iou", mode="max", patience=1)
    assert not has_stopped([], rule)
    assert not has_stopped([{"val_iou": 1.0}] * 9, None)


def test_a_figure_that_nobody_measures_is_told_with_those_there_are():
    rule = EarlyStop(monitor="val_iuo", mode="max", patience=1)
    with pytest.raises(ValueError, match="val_iuo is not measured; monitor one of val_iou"):
        validations_since_best([{"val_iou": 1.0, "step": 2.0}], rule)
