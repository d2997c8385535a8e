import json
from dataclasses import dataclass, replace

import pytest
import torch

from maskspace.training.checkpoint import Progress
from maskspace.training.config import EarlyStop
from maskspace.training.loop import Task, Worker, fit
from maskspace.training.optimiser import make_optimiser
from tests.training.lines import LineTask, batch_of


class Stop(Exception):
    """What ends a training in the middle, as a kill does."""


def stop_after(rows):
    told = []

    def report(row):
        told.append(row)
        if len(told) == rows:
            raise Stop

    return report


@dataclass(frozen=True)
class Mortal:
    """A task whose process dies when it makes the batch of a step."""

    task: Task
    dies_at: int

    def build(self):
        return self.task.build()

    def batches(self, parts):
        return self.task.batches(self.until_it_dies(parts))

    def until_it_dies(self, parts):
        for step, rows in parts:
            if step == self.dies_at:
                raise Stop
            yield step, rows

    def terms(self, model, batch):
        return self.task.terms(model, batch)

    def validate(self, model, shown):
        return self.task.validate(model, shown)


def assert_same_weights(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.parametrize("name", ["click_task", "embedding_task"])
def test_a_resumed_training_is_the_unbroken_one(name, request, optimisation, tmp_path):
    task = request.getfixturevalue(name)
    unbroken = fit(task, optimisation, tmp_path / "unbroken")
    with pytest.raises(Stop):
        fit(task, optimisation, tmp_path / "killed", report=stop_after(2))
    resumed = fit(task, optimisation, tmp_path / "killed")
    assert_same_weights(unbroken.state_dict(), resumed.state_dict())
    steps = [row["step"] for row in Progress(tmp_path / "killed").history()]
    assert steps == [2, 4, 6]


RULE = EarlyStop(monitor="val_loss", mode="min", patience=3)


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
@pytest.mark.parametrize("dies_at", range(6))
def test_wherever_it_dies_a_training_goes_on_bit_for_bit(
    dies_at, checkpoint_seconds, optimisation, tmp_path
):
    recipe = replace(
        optimisation,
        accumulate=2,
        ema=0.9,
        early_stop=RULE,
        checkpoint_seconds=checkpoint_seconds,
    )
    task = LineTask(batch_size=4)
    fit(task, recipe, tmp_path / "unbroken")
    with pytest.raises(Stop):
        fit(Mortal(task, dies_at), recipe, tmp_path / "killed")
    fit(task, recipe, tmp_path / "killed")
    for file in ("checkpoint.pt", "best.pt"):
        one, other = (torch.load(tmp_path / run / file) for run in ("unbroken", "killed"))
        assert one["step"] == other["step"]
        for part in {"model", "average"} & set(one):
            assert_same_weights(one[part], other[part])
    assert_same_figures(tmp_path / "unbroken", tmp_path / "killed")


def assert_same_figures(one, other):
    """What validations say; training terms are means since a resume, and times differ."""
    rows = [
        [
            {name: row[name] for name in row if name.startswith(("val_", "step", "since"))}
            for row in Progress(run).history()
        ]
        for run in (one, other)
    ]
    assert rows[0] == rows[1]


def early(optimisation, patience):
    rule = EarlyStop(monitor="val_score", mode="max", patience=patience)
    return replace(optimisation, steps=8, validate_every=1, early_stop=rule, ema=0.5)


SCORES = (0.1, 0.5, 0.4, 0.5, 0.3, 0.6, 0.7, 0.8)


def test_a_training_without_improvement_ends_with_its_best_weights(optimisation, run):
    task = LineTask(batch_size=4, scores=SCORES)
    model = fit(task, early(optimisation, 3), run)
    history = Progress(run).history()
    assert [row["since_best"] for row in history] == [0, 0, 1, 2, 3]
    assert Progress(run).restore_weights(task.build()) == 2
    best = fit(task, replace(early(optimisation, 3), steps=8), run)
    assert_same_weights(model.state_dict(), best.state_dict())
    assert Progress(run).history() == history


def test_the_best_weights_are_those_that_were_validated(optimisation, run):
    task = LineTask(batch_size=4, scores=SCORES)
    model = fit(task, early(optimisation, 3), run)
    row = Progress(run).history()[1]
    assert task.validate(model, run / "step-0000002.png")["val_loss"] == row["val_loss"]


def test_patience_outlasts_a_pause(optimisation, run):
    task = LineTask(batch_size=4, scores=SCORES)
    fit(task, early(optimisation, 4), run)
    assert len(Progress(run).history()) == 8
    assert Progress(run).restore_weights(task.build()) == 8


def test_averaged_weights_are_validated_and_returned(optimisation, run):
    task = LineTask(batch_size=4)
    model = fit(task, replace(optimisation, ema=0.9), run)
    row = Progress(run).history()[-1]
    assert task.validate(model, run / "picture.png")["val_loss"] == row["val_loss"]
    stored = torch.load(run / "checkpoint.pt")
    assert_same_weights(model.state_dict(), stored["average"])
    assert not torch.equal(stored["model"]["0.weight"], stored["average"]["0.weight"])


def test_a_checkpoint_of_another_recipe_is_told(optimisation, run):
    task = LineTask(batch_size=4)
    fit(task, replace(optimisation, steps=4), run)
    with pytest.raises(ValueError, match="without average; remove the folder"):
        fit(task, replace(optimisation, ema=0.9), run)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"batch": 2}])
def test_a_run_does_not_go_on_with_samples_in_another_order(click_task, optimisation, run, changed):
    fit(click_task, optimisation.shortened(2, 2), run)
    recipe = replace(optimisation, **changed)
    other = replace(click_task, config=replace(click_task.config, optimisation=recipe))
    (name,) = changed
    with pytest.raises(ValueError, match=rf"in another order, by {name} .* to begin again"):
        fit(other, recipe, run)


def test_a_finished_training_trains_no_more(click_task, optimisation, run):
    fit(click_task, optimisation, run)
    before = (run / "checkpoint.pt").stat().st_mtime_ns
    rows = []
    fit(click_task, optimisation, run, report=rows.append)
    assert (run / "checkpoint.pt").stat().st_mtime_ns == before
    assert [row["step"] for row in rows] == [2, 4, 6]


def test_history_names_terms_spread_rate_and_learning_rate(embedding_task, optimisation, run):
    fit(embedding_task, optimisation, run)
    row = Progress(run).history()[-1]
    wanted = {"train_pull/1", "train_push/4", "val_pull/1", "val_std/1", "val_loss", "train_norm"}
    assert wanted | {"learning_rate", "images_per_second", "wait_share", "seconds"} <= set(row)
    assert len(list((run / "pictures").glob("step-*.png"))) == 3


def test_workers_share_a_batch_without_overlap(click_task):
    whole = batch_of(click_task, 3, range(4))
    halves = [batch_of(click_task, 3, range(0, 2)), batch_of(click_task, 3, range(2, 4))]
    for part, *pieces in zip(whole, *halves, strict=True):
        assert torch.equal(part, torch.cat(pieces))


def test_a_batch_that_does_not_divide_is_told(click_task, optimisation, run):
    with pytest.raises(ValueError, match="batch 4 is no multiple of 3 workers"):
        fit(click_task, optimisation, run, worker=Worker(rank=0, world=3))


def test_a_loss_that_is_not_a_number_stops_with_its_name(click_task, optimisation, run):
    model = click_task.build()
    with torch.no_grad():
        model.head.out.bias.fill_(float("nan"))
    state = {"model": model, "optimiser": make_optimiser(model, optimisation)}
    Progress(run, click_task.sequence).save(2, state)
    with pytest.raises(ValueError, match=r"soft_iou.* at step 3;"):
        fit(click_task, optimisation, run)


def test_a_torn_last_line_of_history_is_forgotten(run):
    run.mkdir()
    (run / "history.jsonl").write_text(json.dumps({"step": 2.0}) + '\n{"step": 4, "val')
    assert Progress(run).history() == [{"step": 2.0}]
