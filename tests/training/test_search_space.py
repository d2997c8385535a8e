import json
from dataclasses import replace

import pytest

from maskspace.training.search_space import Suggested, as_name, read_ledger, read_trials, trials
from tests.training.test_sweep import CONFIG


def config(**objectives):
    return replace(CONFIG, objectives=objectives)


def test_trials_are_every_combination_each_once():
    space = trials(config(balls={"radius": (0.1, 0.2), "push_ratio": (2.0, 3.0, 4.0)}))
    assert len({trial.name for trial in space}) == 6
    chosen = {tuple(trial.objective.options.values()) for trial in space}
    assert chosen == {(r, p) for r in (0.1, 0.2) for p in (2.0, 3.0, 4.0)}


def test_an_objective_without_options_is_one_trial():
    assert [trial.name for trial in trials(config(balls={}))] == ["balls"]


def test_rates_and_seeds_multiply_and_seeds_share_a_point():
    space = trials(replace(config(balls={}), learning_rates=(1e-3, 1e-2), seeds=(0, 1, 2)))
    assert len({trial.name for trial in space}) == 6
    assert {trial.point for trial in space} == {"balls-rate0.001", "balls-rate0.01"}


def test_level_weights_have_a_name_that_a_folder_can_have():
    weights = ({"1": 1.0, "4": 4.0}, {"1": 1.0})
    names = [trial.name for trial in trials(config(balls={"level_weights": weights}))]
    assert names == ["balls-level_weights1x1_4x4", "balls-level_weights1x1"]
    assert as_name("a/b c") == "a_b_c"


class Told:
    """An Optuna trial that always takes the first choice and the geometric middle."""

    def suggest_categorical(self, name, choices):
        return choices[0]

    def suggest_float(self, name, low, high, *, log):
        return (low * high) ** 0.5 if log else (low + high) / 2


def test_suggestions_are_between_the_values_and_written_down_once(tmp_path):
    space = replace(
        config(balls={"radius": (0.01, 0.04), "channels": (3, 4)}),
        search="optuna",
        learning_rates=(1e-4, 1e-2),
        seeds=(0, 5),
    )
    ledger = tmp_path / "run" / "points.jsonl"
    suggested = Suggested(space, ledger)
    made = [read_trials(suggested(Told())["trials"]) for _ in range(2)]
    assert [trial.seed for trial in made[0]] == [0, 5]
    assert made[0][0].objective.options == {"radius": 0.02, "channels": 3}
    assert made[0][0].learning_rate == pytest.approx(1e-3)
    assert made[1][0].point == made[0][0].point + "-again1"  # no folder of two trials
    assert len(read_ledger(ledger)) == 2
    resumed = Suggested(space, ledger)
    assert [read_trials(resumed(Told())["trials"]) for _ in range(2)] == made
    assert len(read_ledger(ledger)) == 2
    resumed(Told())
    assert len(read_ledger(ledger)) == 3
    assert json.loads(ledger.read_text().splitlines()[0])["parameters"]["objective"] == "balls"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"objectives": {}}, "name one objective"),
        ({"objectives": {"balls": {"radius": ()}}}, "value of an option"),
        ({"seeds": ()}, "seed"),
        ({"seeds": (1, 1)}, "seeds differ"),
        ({"learning_rates": (0.0,)}, "above 0"),
        ({"scheduler": "asha", "grace_steps": CONFIG.steps + 1}, "grace_steps"),
        ({"scheduler": "asha", "reduction_factor": 1}, "reduction_factor"),
        ({"search": "optuna", "scheduler": "asha", "seeds": (0, 1)}, "use scheduler fifo"),
    ],
)
def test_what_compares_nothing_is_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        replace(CONFIG, **changed)
