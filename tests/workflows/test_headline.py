"""The only metric that DVC shows: few numbers, narrow tables, a reference that runs differ from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workflows import headline

ROOT = Path(__file__).resolve().parents[2]


def measured(values):
    return {
        dataset: {model: dict.fromkeys(headline.TOLD[model], value) for model in headline.TOLD}
        for dataset, value in values.items()
    }


def numbers(told):
    return [value for group in told.values() for value in group.values()]


@pytest.mark.parametrize("datasets", [1, 5, 16, 17, 100])
def test_however_many_datasets_there_are_it_stays_a_headline(datasets):
    told = headline.headline(measured({f"d{n}": n / datasets for n in range(datasets)}))
    assert len(numbers(told)) <= headline.MOST
    mean = sum(range(datasets)) / datasets**2
    assert told["student"]["best_iou_50"] == pytest.approx(mean, abs=1e-6)
    assert ("student_on" in told) == (datasets <= 16)


def test_the_evaluations_of_all_datasets_are_read(tmp_path):
    evaluations = measured({"a": 0.25, "b": 0.75})
    for dataset, models in evaluations.items():
        (tmp_path / dataset).mkdir()
        content = json.dumps({dataset: models, "split": "test"})
        (tmp_path / dataset / "metrics.json").write_text(content)
    assert headline.read_evaluations(tmp_path) == evaluations


def test_it_is_the_only_metric_and_the_shipped_one_is_of_the_default_datasets():
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
    described = [stage.get("do", stage).get("metrics") for stage in stages.values()]
    assert [entry for entry in described if entry] == [[{"headline.json": {"cache": False}}]]
    datasets = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())["shards"]
    shipped = json.loads((ROOT / "headline.json").read_text())
    made = headline.headline(measured(dict.fromkeys(datasets, 0.5)))
    assert {k: set(v) for k, v in shipped.items()} == {k: set(v) for k, v in made.items()}
    assert all(0 < value < 1 for value in numbers(shipped))


def test_dvc_shows_it_in_a_terminal_and_tells_a_run_from_the_reference(tmp_path):
    for name in ("dvc.yaml", "params.yaml", "headline.json"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "reference"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    told = json.loads((tmp_path / "headline.json").read_text())
    told["student"]["best_iou_50"] += 0.01
    (tmp_path / "headline.json").write_text(json.dumps(told))
    show, diff = (
        subprocess.run(
            [sys.executable, "-m", "dvc", "metrics", verb],
            cwd=tmp_path,
            env=os.environ | {"DVC_NO_ANALYTICS": "1", "COLUMNS": "1000"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for verb in ("show", "diff")
    )
    assert len(show) == 2 and max(map(len, show)) < 240
    (changed,) = (line.split() for line in diff[1:])
    assert changed[:2] == ["headline.json", "student.best_iou_50"] and float(changed[-1]) > 0
