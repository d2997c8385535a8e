"""The stage `validate` on shards with a bad record: it stops, or puts the record aside."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from maskspace.config import read_params
from maskspace.data.readers.scenes import read_scenes
from maskspace.data.records import read_sample, sample_places
from maskspace.data.shards import open_shards, write_manifest, write_shard
from workflows.profiles import write_params

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is the repository to a stage, with shards of which one record is bad."""
    for name in ("src", "workflows", "dvc.yaml"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    samples = list(read_scenes("", seed=0, limit=12, size_hw=(48, 48)))
    vars(samples[5].annotations[0])["area"] += 1
    folder = tmp_path / "build" / "shards" / "scenes"
    folder.mkdir(parents=True)
    facts = [
        write_shard(folder / f"{split}-000000.tar", found)
        for split, found in (("train", samples[:8]), ("val", samples[8:10]), ("test", samples[10:]))
    ]
    write_manifest(folder, facts, dataset="scenes", details={"containment": 0.95})
    return tmp_path


def run(project: Path, quarantine: object) -> tuple[int, str, str]:
    params = read_params(REPOSITORY / "params.yaml")
    params["shards"] = {"scenes": params["shards"]["scenes"]}
    params["validate"]["quarantine"] = quarantine
    write_params(params, project / "params.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "workflows.validate", "scenes"],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_bad_record_stops_the_stage_and_leaves_its_report(project: Path) -> None:
    status, out, err = run(project, None)
    assert status == 1 and out == ""
    assert err.startswith("validate scenes: scenes-000005, mask 1: breaks 'area is that of the run")
    assert err.count("\n") == 1
    assert not (project / "build/validate").exists()
    page = project / err.split("see ")[1].split(",")[0]
    assert "scenes-000005" in page.read_text() and (page.parent / "gallery.png").is_file()


def test_in_quarantine_it_is_left_out_of_what_the_next_stage_reads(project: Path) -> None:
    status, out, err = run(project, {"rate": 0.1})
    assert status == 0, err
    assert "1 records in quarantine" in out
    folder = project / "build/validate/scenes"
    keys = [sample.key for sample in open_shards(folder, "train")]
    assert keys == [f"scenes-{i:06d}" for i in (0, 1, 2, 3, 4, 6, 7)]
    assert len(open_shards(folder, "test")) == 2
    aside = folder / "quarantine" / "train-000000.tar"
    (place,) = sample_places(aside)
    assert read_sample(aside, *place).key == "scenes-000005"
    assert json.loads((folder / "metrics.json").read_text())["errors"] == 1
    with tarfile.open(aside) as archive:
        assert len(archive.getmembers()) == 2
