import json

from maskspace.config import Choice
from maskspace.training.checkpoint import Progress
from maskspace.training.config import SweepConfig
from maskspace.training.loop import fit
from maskspace.training.sweep import Trial, finish_trial, trials, write_sweep


def config(**objectives):
    return SweepConfig(
        objectives=objectives,
        steps=4,
        grace_steps=2,
        reduction_factor=2,
        validate_every=2,
        concurrent=1,
        threads=1,
    )


def test_trials_are_every_combination_each_once():
    space = trials(config(balls={"radius": (0.1, 0.2), "push_ratio": (2.0, 3.0, 4.0)}))
    assert len({trial.name for trial in space}) == 6
    chosen = {tuple(trial.objective.options.values()) for trial in space}
    assert chosen == {(r, p) for r in (0.1, 0.2) for p in (2.0, 3.0, 4.0)}


def test_an_objective_without_options_is_one_trial():
    assert [trial.name for trial in trials(config(balls={}))] == ["balls"]


def test_a_trial_that_was_stopped_early_has_a_model_and_says_so(
    embedding_task, optimisation, tmp_path
):
    run, out = tmp_path / "run", tmp_path / "out"
    trial = Trial(name="balls-radius0.1", objective=Choice(name="balls", options={"radius": 0.1}))
    fit(embedding_task, optimisation.shortened(2, 2), run / trial.name)
    row = finish_trial(trial, embedding_task, optimisation, run / trial.name)
    assert row["step"] == 2
    assert row["finished"] is False
    write_sweep([row], run, out)
    assert json.loads((out / "trials.json").read_text()) == [row]
    assert (out / trial.name / "model.safetensors").exists()
    assert Progress(out / trial.name).history() == Progress(run / trial.name).history()
