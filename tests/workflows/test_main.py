import json
import os
from pathlib import Path

import pytest

from maskspace import tracking
from workflows import __main__ as launcher


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


@pytest.mark.fault
def test_two_runs_in_one_workspace_are_refused(workspace):
    message = rf"another run .*process {os.getpid()}"
    with launcher._alone(), pytest.raises(ValueError, match=message), launcher._alone():
        pass
    with launcher._alone():
        pass


def test_locks_of_dead_processes_are_removed_and_those_of_a_running_dvc_stay(workspace):
    table = workspace / ".dvc" / "tmp" / "rwlock"
    for holder in ({"write": {"pid": os.getpid()}}, {"read": [{"pid": 2**22 + 1}]}):
        table.write_text(json.dumps({"build": holder}))
        launcher._clear_dead_locks()
        assert not table.exists()
    launcher._clear_dead_locks()


def test_a_folder_without_a_stage_graph_is_told(workspace, capsys):
    assert launcher.main([]) == 2
    told = capsys.readouterr().err
    assert told == "maskspace: dvc.yaml: no such file; run from the repository's root\n"


def test_the_end_of_a_run_says_metrics_pictures_version_and_time(workspace):
    folder = workspace / "build" / "evaluate" / "a"
    folder.mkdir(parents=True)
    student = {"miou_at_1_center": 0.5, "mean_best_iou_50": 0.25, "ar_100": 0.125}
    metrics = {"a": {"student": student, "felzenszwalb": {"ar_100": 1.0}}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (workspace / "build" / "register").mkdir()
    receipt = tracking.Receipt(
        name="s",
        version="3",
        run_id="r",
        champion=True,
        previous="2",
        metric="m on a",
        value=0.25,
        tracking_uri=tracking.tracking_uri(),
    )
    tracking.write_receipt(receipt, launcher.RECEIPT)
    assert launcher._summary(Path(), 61.4).splitlines() == [
        "",
        "dataset  model         mIoU@1  best IoU @50  AR@100",
        "a        student        0.500         0.250   0.125",
        "a        felzenszwalb       -             -   1.000",
        "reports: build/report/*/report.html, pictures beside them",
        "registered: models:/s/3 (champion; m on a 0.250)",
        "done in 61 s",
    ]


def test_a_receipt_that_the_registry_does_not_honour_is_spoilt(workspace, capsys):
    launcher._check_receipt()
    assert launcher._receipt() is None
    assert capsys.readouterr().out == ""
    receipt = tracking.Receipt(
        name="s",
        version="3",
        run_id="r",
        champion=True,
        previous="2",
        metric="m on a",
        value=0.25,
        tracking_uri=tracking.tracking_uri(),
    )
    tracking.write_receipt(receipt, launcher.RECEIPT)
    launcher._check_receipt()
    assert launcher._receipt() is None
    assert "no longer holds" in capsys.readouterr().out
