"""The whole pipeline at its smallest, in a copy of this repository, killed on the way."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from maskspace.evaluation.measuring import NUMBERS
from maskspace.evaluation.reporting import DRAWN

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "workflows", "profiles", "samples", "data.dvc", "dvc.yaml", "params.yaml")

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for name in (*COPIED, ".dvcignore"):
        source = ROOT / name
        ignored = shutil.ignore_patterns("*.pyc")  # what numba compiled is taken along
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / name, **({"ignore": ignored} if source.is_dir() else {}))
    (folder / ".dvc").mkdir()
    shutil.copyfile(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    return folder


@pytest.fixture(scope="module")
def finished(clone, until) -> tuple[Path, dict[str, bytes], str]:
    """The workspace of a finished run that was killed twice, the shards of before, what was told.

    Once the launcher is killed, in the clicker, once the stage itself, in the sweep.
    """
    workspace = clone / ".profiles" / "tiny"
    with _launch(clone) as first:
        _wait_for(first, "Running stage 'clicker'")
        assert until(first, lambda: any(workspace.glob(".work/clicker-*/run/history.jsonl")))
        shards = _bytes(workspace / "build" / "shards")
        family = psutil.Process(first.pid).children(recursive=True)
        first.kill()
    psutil.wait_procs(family, timeout=30)
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    with _launch(clone) as second:
        _wait_for(second, "Running stage 'sweep'")
        assert until(second, lambda: any(workspace.glob(".work/sweep-*/run/**/history.jsonl")))
        for process in psutil.Process(second.pid).children(recursive=True):
            if process.cmdline()[1:3] == ["-m", "workflows.sweep"]:
                process.send_signal(signal.SIGKILL)
        assert second.wait(timeout=60) == 1
    done = _run(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace, shards, done.stdout


def test_a_killed_run_goes_on_and_ends_with_the_same_shards(finished):
    workspace, shards, told = finished
    assert shards
    assert _bytes(workspace / "build" / "shards") == shards
    assert "Stage 'clicker' didn't change, skipping" in told
    for model in ("clicker", "student", "felzenszwalb"):
        assert re.search(rf"^rectangles +{model} ", told, re.MULTILINE)
    assert "registered: models:/maskspace-student/1 (champion" in told


def test_metrics_and_pictures_are_complete(finished):
    folder = finished[0] / "build" / "evaluate" / "rectangles"
    metrics = json.loads((folder / "metrics.json").read_text())["rectangles"]
    assert 0 < metrics["student"]["mean_best_iou_50"] <= 1
    assert {path.name for path in folder.iterdir()} == set(NUMBERS)
    drawn = finished[0] / "build" / "report" / "rectangles"
    assert {path.name for path in drawn.iterdir()} == set(DRAWN)


def test_run_again_it_does_nothing(finished, clone):
    done = _run(clone)
    assert done.returncode == 0
    assert "Running stage" not in done.stdout


def test_a_registry_that_forgot_is_noticed(finished, clone):
    workspace = finished[0]
    with sqlite3.connect(workspace / "mlruns" / "mlflow.db") as store:
        store.execute("DELETE FROM registered_model_aliases")
    done = _run(clone)
    assert done.returncode == 0
    assert "registering again" in done.stdout
    assert "Running stage 'register'" in done.stdout
    assert done.stdout.count("Running stage") == 1
    assert "(champion" in done.stdout


def test_what_the_caller_got_wrong_is_one_line_and_status_2(clone):
    done = _run(clone, "--profile", "nope")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    params = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(params.replace("teacher_share:", "teachers_share:"))
    done = _run(clone)
    (clone / "params.yaml").write_text(params)
    assert done.returncode == 2
    assert done.stderr == (
        "maskspace: params.yaml: distill.teachers_share: unknown key; remove it or correct its "
        "spelling; got 0.05\n"
    )


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "workflows", *(arguments or ("--profile", "tiny"))]


def _environment(clone: Path) -> dict[str, str]:
    ours = ("MLFLOW_", "RAY_", "MASKSPACE_", "MAKE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    paths = f"{clone / 'src'}{os.pathsep}{clone}"
    return kept | {"PYTHONPATH": paths, "RAY_worker_niceness": "0"}


def _run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*arguments),
        cwd=clone,
        env=_environment(clone),
        capture_output=True,
        text=True,
        check=False,
    )


def _launch(clone: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        _command(),
        cwd=clone,
        env=_environment(clone),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait_for(process: subprocess.Popen[str], text: str) -> None:
    told = list(_until(process, text))
    assert text in told[-1], "".join(told)


def _until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if text in line:
            return


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
