"""Runs are recorded while they happen; what the store misses waits on disk and is sent later."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from maskspace import spool as spooled
from maskspace import tracking
from maskspace.training import live
from maskspace.training.checkpoint import PICTURES, Progress

ROWS = [{"step": float(step), "val_loss": 1 / step, "train_a/1": 2.0} for step in (2, 4, 6)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store with its tables, which take seconds to make."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        tracking._client().get_experiment_by_name("none")
    return folder / "mlflow.db"


@pytest.fixture
def store(template, tmp_path, monkeypatch) -> Path:
    """A store of its own, and a workspace."""
    database = tmp_path / "store" / "mlflow.db"
    database.parent.mkdir()
    shutil.copyfile(template, database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.delenv("_MLFLOW_SERVER_ARTIFACT_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return database


@pytest.fixture
def work(tmp_path) -> Path:
    """The folder of a training that has come to its first validation."""
    folder = tmp_path / ".work" / "clicker-0123456789abcdef" / "run"
    (folder / PICTURES).mkdir(parents=True)
    (folder / PICTURES / "p.png").write_bytes(b"picture")
    Progress(folder).append(ROWS[0])
    return folder


def begun(work: Path) -> spooled.Spool:
    spool = spooled.spool_of(work, experiment="clicker", name="clicker")
    spool.begin({"a": {"b": 1}, "long": "x" * 7000}, inputs=inputs(work))
    return spool


def inputs(work: Path) -> list[tracking.Input]:
    folder = work.parents[2] / "shards"
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    (folder / "toy" / "manifest.json").write_text(json.dumps({"totals": {"samples": 3}}))
    return spooled.shard_inputs(folder, ["toy"])


def runs():
    client = tracking._client()
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def losses(run_id):
    history = tracking._client().get_metric_history(run_id, "val_loss")
    return [(point.step, point.value) for point in history]


def refuse(database: Path) -> None:
    """Let the store be no store: it is refused whoever asks, root too."""
    database.rename(database.with_suffix(".away"))
    database.mkdir()


def answer_again(database: Path) -> None:
    database.rmdir()
    database.with_suffix(".away").rename(database)


def test_a_training_that_is_restarted_is_one_run_with_every_step_once(store, work):
    with pytest.raises(KeyError), live.recorded({begun(work): work}):
        raise KeyError
    (failed,) = runs()
    assert failed.info.status == "FAILED" and losses(failed.info.run_id) == [(2, 0.5)]
    for row in ROWS[1:]:
        Progress(work).append(row)
    with live.recorded({begun(work): work}):
        pass
    (run,) = runs()
    assert run.info.run_id == failed.info.run_id and run.info.status == "FINISHED"
    assert losses(run.info.run_id) == [(2, 1 / 2), (4, 1 / 4), (6, 1 / 6)]
    assert run.data.metrics["train_a_level_1"] == 2.0
    assert run.data.params["a.b"] == "1" and run.data.tags["mlflow.user"] == tracking.user()
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "toy" and json.loads(data.dataset.profile) == {"samples": 3}
    artifacts = store.parent / "artifacts" / "clicker" / run.info.run_id / "artifacts"
    assert json.loads((artifacts / "params.json").read_text())["long"] == "x" * 7000
    assert (artifacts / PICTURES / "p.png").read_bytes() == b"picture"
    assert spooled.spool_of(work, experiment="clicker", name="clicker").pending == 0


def test_rows_and_the_system_are_told_before_the_training_ends(store, work):
    with live.recorded({begun(work): work}, look_s=0.01, sample_s=0.0):
        _until(lambda: runs() and "system/cpu_utilization_percentage" in runs()[0].data.metrics)
        (run,) = runs()
        assert run.info.status == "RUNNING" and losses(run.info.run_id) == [(2, 0.5)]


@pytest.mark.fault
def test_an_outage_to_the_end_loses_nothing(store, work, capsys):
    spool = begun(work)
    spool.send()
    refuse(store)
    with live.recorded({spool: work}):
        Progress(work).append(ROWS[1])
    assert "kept in .work/tracking, sent when it answers" in capsys.readouterr().err
    assert spool.pending > 0
    spooled.send_spooled()  # it still refuses
    shutil.rmtree(work.parent)  # another fingerprint has removed the work
    answer_again(store)
    spooled.send_spooled()
    (run,) = runs()
    assert losses(run.info.run_id) == [(2, 0.5), (4, 0.25)] and run.info.status == "FINISHED"
    artifacts = store.parent / "artifacts" / "clicker" / run.info.run_id / "artifacts"
    assert (artifacts / PICTURES / "p.png").is_file()
    assert spool.pending == 0 and not (spool.folder / spooled.EVENTS).exists()


@pytest.mark.fault
def test_a_run_whose_id_was_never_learnt_is_found_and_lines_sent_twice_count_once(store, work):
    spool = begun(work)
    spool.metrics({"val_loss": 0.5}, step=2)
    spool.send()
    state = spool.folder / spooled.STATE
    state.write_text(json.dumps(spool.state | {"run_id": None, "sent": 0}))  # killed before it
    spool.send()
    (run,) = runs()
    assert losses(run.info.run_id) == [(2, 0.5)]


def test_trainings_are_shown_under_their_parent_and_found_by_their_weights(store, work):
    parent = spooled.spool_of(work, experiment="regimes", name="regimes")
    parent.begin({})
    child = spooled.spool_of(
        work / "one", experiment="regimes", name="one", parent=parent.folder.name
    )
    child.begin({}, tags={tracking.WEIGHTS: "0f"})
    with live.recorded({parent: work, child: work / "one"}):
        pass
    found = tracking.find_training("0f")
    assert found == child.state["run_id"] and tracking.find_training("f0") is None
    tags = tracking._client().get_run(found).data.tags
    assert tags["mlflow.parentRunId"] == parent.state["run_id"]


def test_an_evaluation_waits_for_whoever_sends(store, work):
    for _ in range(2):  # the second is the same one, cached
        spooled.record_evaluation(
            work, "toy", params={"limit": 3}, metrics={"student": {"ar@1": 0.5}, "split": "test"}
        )
    assert runs() == []
    spooled.send_spooled()
    (run,) = runs()
    assert run.data.metrics == {"student.ar_at_1": 0.5} and run.info.status == "FINISHED"


def _until(holds) -> None:
    waiting = threading.Event()
    for _ in range(6000):  # a minute: a test that would wait for ever fails instead
        if holds():
            return
        waiting.wait(0.01)
    raise AssertionError("what was waited for did not come")
