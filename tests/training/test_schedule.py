from dataclasses import replace

import pytest
import torch

from maskspace.config import Choice
from maskspace.training.schedule import SCHEDULES, steps


def test_rate_rises_to_its_peak_and_falls_to_its_share(optimisation):
    rates = [optimisation.rate(step) for step in range(optimisation.steps + 1)]
    peak = optimisation.learning_rate
    assert rates[optimisation.warmup - 1] == rates[optimisation.warmup] == peak
    assert rates[: optimisation.warmup] == sorted(rates[: optimisation.warmup])
    assert rates[optimisation.warmup :] == sorted(rates[optimisation.warmup :], reverse=True)
    assert abs(rates[-1] - peak * 0.1) < 1e-12


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_warms_up_alike_and_begins_at_the_peak(name, optimisation):
    recipe = replace(optimisation, schedule=Choice(name=name, options={}), steps=20, warmup=4)
    shares = [recipe.rate(step) / recipe.learning_rate for step in range(5)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_steps_are_those_of_multi_step_lr(optimisation):
    """SegNext's recipe: an epoch of one step, 100 of them."""
    recipe = replace(optimisation, schedule=Choice(name="steps", options={}), steps=100, warmup=0)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recipe.learning_rate)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [50, 90], gamma=0.1)
    for step in range(100):
        assert recipe.rate(step) == pytest.approx(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()


@pytest.mark.parametrize("milestones", [(0.9, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_milestones_that_are_no_ascending_shares_are_refused(milestones):
    with pytest.raises(ValueError, match="milestones"):
        steps(0.5, milestones=milestones)
