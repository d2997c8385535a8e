import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS = """
shards:
  rectangles:
    reader: {name: rectangles, options: {size_hw: [32, 32]}}
    root: src/maskspace/data/readers/rectangles.py
    seed: 0
    limit: %d
    split: {mode: hash, val: 0.2, test: 0.2}
    split_components: true
    min_component_area: 1
    containment: 0.95
    samples_per_shard: 20
    repack: true
    store: .
validate:
  min_masks: 1
  max_masks: 99
  min_area: 1
  min_side: 16
  max_side: 64
  max_record_bytes: 1000000
  max_depth: 8
  min_contrast: 1.0
  near_iou: 0.95
  near_bits: 4
  outlier_z: 6.0
  min_coverage: {}
  severities: {}
  quarantine: null
  rows_per_check: 1000
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is the repository to a stage, with small params of its own."""
    for name in ("src", "workflows", "dvc.yaml"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "params.yaml").write_text(PARAMS % 60)
    return tmp_path


def start(project: Path, stage: str, dataset: str = "rectangles") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"workflows.{stage}", dataset]
    pipe = subprocess.PIPE
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=project, stdout=pipe, stderr=pipe, text=True, env=environment
    )


def run(project: Path, stage: str, dataset: str = "rectangles") -> tuple[int, str, str]:
    process = start(project, stage, dataset)
    out, err = process.communicate()
    return process.returncode, out, err


def shards(project: Path) -> dict[str, bytes]:
    folder = project / "build/shards/rectangles"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_then_validate_on_plain_rectangles(project: Path) -> None:
    status, out, err = run(project, "shards")
    assert status == 0, err
    assert "components of equal colour score mean best IoU 1.0000" in out
    manifest = json.loads(shards(project)["manifest.json"])
    assert manifest["baseline_connected_components"] == 1.0
    assert manifest["totals"]["samples"] == 60
    status, out, err = run(project, "validate")
    assert status == 0, err
    report = json.loads((project / "build/validate/rectangles/report.json").read_text())
    assert report["success"] is True
    assert (project / "build/validate/rectangles/report.html").is_file()


def test_a_violation_stops_the_stage_and_leaves_no_output(project: Path) -> None:
    assert run(project, "shards")[0] == 0
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("max_side: 64", "max_side: 31"))
    status, out, err = run(project, "validate")
    assert status == 1 and out == ""
    assert err.startswith("validate rectangles: rectangles-0000")
    assert "breaks 'height within bounds'" in err and err.count("\n") == 1
    assert not (project / "build/validate").exists()
    assert list(project.glob(".work/validate@rectangles-*/report.html"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: rectangles", "name: triangles", "reader 'triangles' is unknown"),
        ("seed: 0", "seed: zero", "shards.rectangles.seed"),
        ("size_hw: [32, 32]", "sise_hw: [32, 32]", "unknown option 'sise_hw'"),
        ("limit: 60", "limit: 3", "falls in the split"),
    ],
)
def test_wrong_params_are_one_line_and_leave_no_output(
    project: Path, old: str, new: str, told: str
) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace(old, new))
    status, _, err = run(project, "shards")
    assert status == 1
    assert told in err and err.count("\n") == 1
    assert not (project / "build").exists()


def test_an_unknown_dataset_is_one_line(project: Path) -> None:
    status, _, err = run(project, "shards", "pentagons")
    assert status == 1
    assert "shards.pentagons: missing" in err and err.count("\n") == 1


@pytest.mark.fault
@pytest.mark.slow
def test_killed_anywhere_the_same_bytes_come_out(project: Path, shared_ray: None, until) -> None:
    """Killed thrice: at Ray's first shard, half-way, and as the finished shards are published."""
    (project / "params.yaml").write_text(PARAMS % 340)  # more shards than the stage writes alone
    assert run(project, "shards")[0] == 0
    expected = shards(project)
    subprocess.run(["rm", "-rf", "build", ".work"], cwd=project, check=True)

    def written() -> int:
        return len(list(project.glob(".work/shards@*/*.tar")))

    moments: list[Callable[[], bool]] = [
        lambda: written() >= 1,
        lambda: written() >= 10,
        lambda: any(project.glob("build/shards/.*.partial")),
    ]
    for is_now in moments:
        process = start(project, "shards")
        until(process, is_now)
        process.kill()
        process.communicate()
    assert run(project, "shards")[0] == 0
    assert shards(project) == expected
