import os
import sqlite3

import pytest

from maskspace import tracking
from maskspace.tracking import Receipt


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one run and its child; making its tables takes seconds, so tests share it."""
    folder = tmp_path_factory.mktemp("store")
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/deep/mlflow.db")
    with tracking.run("sweep", "all", tags={"kind": "test"}) as parent:
        parent.log_params({"a": {"b": 1}, "long": "x" * 9000})
        with tracking.run("sweep", "trial", parent=parent.id) as child:
            for step in range(3):
                child.log_metrics({"miou@1": step / 2, "loss": 1.0 - step}, step)
        picture = folder / "p.png"
        picture.write_bytes(b"picture")
        parent.log_figure(picture)
    yield folder, parent.id, child.id
    patch.undo()


def test_what_is_told_during_a_run_is_found_again(store):
    folder, parent, child = store
    client = tracking._client()
    assert client.get_run(parent).data.params["a.b"] == "1"
    assert len(client.get_run(parent).data.params["long"]) == 6000
    assert client.get_run(parent).info.status == "FINISHED"
    assert client.get_run(child).data.tags["mlflow.parentRunId"] == parent
    history = client.get_metric_history(child, "miou_at_1")
    assert [(point.step, point.value) for point in history] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    artifacts = folder / "deep" / "artifacts" / "sweep" / parent / "artifacts"
    assert (artifacts / "pictures" / "p.png").read_bytes() == b"picture"


def test_a_run_goes_on_and_a_failed_one_says_so(store):
    _, _, child = store
    with tracking.run("sweep", "trial", resume=child) as again:
        assert again.id == child
    with tracking.run("sweep", "trial", resume="0" * 32) as anew:
        assert anew.id != "0" * 32
    with pytest.raises(KeyError), tracking.run("sweep", "broken") as broken:
        raise KeyError
    assert tracking._client().get_run(broken.id).info.status == "FAILED"


def test_what_is_not_registered_is_told(store):
    assert tracking.champion("nope") is None
    assert tracking.find_version("nope", "content") is None
    with pytest.raises(ValueError, match=r"models:/nope@champion: not in the registry sqlite"):
        tracking.download_model("models:/nope@champion")
    with pytest.raises(ValueError, match="a registered model is models:/NAME"):
        tracking.download_model("nope")


def test_the_default_store_does_not_depend_on_where_a_process_stands(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


@pytest.mark.parametrize("name", ["a b", "50%", "feature%20x", "what?", "no#1", 'it\'s "x"', "ü"])
def test_the_default_store_lies_in_its_folder_whatever_that_is_called(name, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("_MLFLOW_SERVER_ARTIFACT_ROOT", raising=False)
    project = tmp_path / name
    project.mkdir()
    monkeypatch.chdir(project)
    with tracking.run("sweep", "all") as run:
        picture = project / "p.png"
        picture.write_bytes(b"picture")
        run.log_figure(picture)
    assert tracking.store_name() == f"sqlite:///{project}/mlruns/mlflow.db"
    found = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["mlflow.db", "p.png", "p.png"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sorted(path.name for path in project.iterdir()) == ["mlruns", "p.png"]


def test_a_folder_that_is_not_utf8_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = tmp_path / os.fsdecode(b"caf\xe9")
    project.mkdir()
    monkeypatch.chdir(project)
    with pytest.raises(ValueError, match=r"caf\\xe9.*not UTF-8"):
        tracking.tracking_uri()


def test_receipts_are_read_as_written_and_others_refused(tmp_path):
    receipt = a_receipt(tmp_path)
    tracking.write_receipt(receipt, tmp_path / "receipt.json")
    assert tracking.read_receipt(tmp_path / "receipt.json") == receipt
    for bad in ("{}", "not json"):
        (tmp_path / "receipt.json").write_text(bad)
        with pytest.raises(ValueError, match=r"receipt\.json: not a receipt"):
            tracking.read_receipt(tmp_path / "receipt.json")


def test_a_receipt_holds_while_version_files_and_alias_are_there(tmp_path, monkeypatch):
    receipt = a_receipt(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", receipt.tracking_uri)
    assert not tracking.holds(receipt)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("CREATE TABLE model_versions (name, version, run_id, storage_location, "
                      "current_stage)")  # fmt: skip
        store.execute("CREATE TABLE registered_model_aliases (name, alias, version)")
        row = ("student", 2, "run", f"file://{tmp_path}/model", "None")
        store.execute("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?)", row)
        store.execute("INSERT INTO registered_model_aliases VALUES ('student', 'champion', 2)")
    assert not tracking.holds(receipt)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("")
    assert tracking.holds(receipt)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    assert not tracking.holds(receipt)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", receipt.tracking_uri)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("UPDATE registered_model_aliases SET version = 1")
    assert not tracking.holds(receipt)
    assert tracking.holds(a_receipt(tmp_path, champion=False))


def a_receipt(folder, *, champion=True):
    return Receipt(
        name="student",
        version="2",
        run_id="run",
        champion=champion,
        previous="1",
        metric="mean_best_iou_50",
        value=0.5,
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
