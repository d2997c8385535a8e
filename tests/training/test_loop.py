import json

import pytest
import torch

from maskspace.training.checkpoint import Progress
from maskspace.training.loop import Worker, fit


class Stop(Exception):
    """What ends a training in the middle, as a kill does."""


def stop_after(rows):
    told = []

    def report(row):
        told.append(row)
        if len(told) == rows:
            raise Stop

    return report


@pytest.mark.parametrize("name", ["click_task", "embedding_task"])
def test_a_resumed_training_is_the_unbroken_one(name, request, optimisation, tmp_path):
    task = request.getfixturevalue(name)
    unbroken = fit(task, optimisation, tmp_path / "unbroken")
    with pytest.raises(Stop):
        fit(task, optimisation, tmp_path / "killed", report=stop_after(2))
    resumed = fit(task, optimisation, tmp_path / "killed")
    for one, other in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    steps = [row["step"] for row in Progress(tmp_path / "killed").history()]
    assert steps == [2, 4, 6]


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
    assert wanted | {"learning_rate", "images_per_second", "seconds"} <= set(row)
    assert len(list((run / "pictures").glob("step-*.png"))) == 3


def test_workers_share_a_batch_without_overlap(click_task):
    whole = click_task.batch(3, range(4))
    halves = [click_task.batch(3, range(0, 2)), click_task.batch(3, range(2, 4))]
    for part, *pieces in zip(whole, *halves, strict=True):
        assert torch.equal(part, torch.cat(pieces))


def test_a_batch_that_does_not_divide_is_told(click_task, optimisation, run):
    with pytest.raises(ValueError, match="batch 4 is no multiple of 3 workers"):
        fit(click_task, optimisation, run, worker=Worker(rank=0, world=3))


def test_a_loss_that_is_not_a_number_stops_with_its_name(click_task, optimisation, run):
    model = click_task.build()
    with torch.no_grad():
        model.head.out.bias.fill_(float("nan"))
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim >= 2]},
            {"params": [p for p in model.parameters() if p.ndim < 2]},
        ]
    )
    Progress(run).save(0, model, optimiser)
    with pytest.raises(ValueError, match="soft_iou"):
        fit(click_task, optimisation, run)


def test_a_torn_last_line_of_history_is_forgotten(run):
    run.mkdir()
    (run / "history.jsonl").write_text(json.dumps({"step": 2.0}) + '\n{"step": 4, "val')
    assert Progress(run).history() == [{"step": 2.0}]
