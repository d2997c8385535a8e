import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from maskspace.config import read_params
from workflows import frame

ROOT = Path(__file__).resolve().parents[2]

GRAPH = """
stages:
  make:
    foreach: ${make}
    do:
      cmd: x
      deps: ["${item.root}", code]
      params: ["make.${key}", shared]
      outs: ["build/make/${key}"]
  join:
    cmd: x
    deps: [build/make]
    params: [join]
    outs: [{build/join: {cache: false}}]
"""
PARAMS = """
make: {a: {root: raw/a, rate: 1}, b: {root: raw/b, rate: 1}}
shared: 3
join: {n: 1}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ("raw/a", "raw/b", "code"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_url_is_listed_not_read(workspace):
    files = fsspec.filesystem("memory")
    files.pipe("/raw/a/one.tar", b"1")
    url = "memory://raw/a"
    Path("params.yaml").write_text(PARAMS.replace("raw/a", url))
    params = read_params(Path("params.yaml"))
    assert frame.remote_inputs("make", "a", params) == [url]
    assert all("memory" not in str(path) for path in frame.dependencies("make", "a", params)[0])
    before = frame.fingerprint("make", "a")
    assert frame.fingerprint("make", "a") == before
    files.pipe("/raw/a/two.tar", b"2")
    assert frame.fingerprint("make", "a") != before
    files.rm("/raw", recursive=True)
    with pytest.raises(ValueError, match="memory://raw/a: "):
        frame.fingerprint("make", "a")


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("raw/a/file").write_text("other"),
        lambda: Path("raw/a/more").write_text(""),
        lambda: Path("code/file").rename("code/renamed"),
        lambda: Path("params.yaml").write_text(PARAMS.replace("raw/a, rate: 1", "raw/a, rate: 2")),
        lambda: Path("params.yaml").write_text(PARAMS.replace("shared: 3", "shared: 4")),
    ],
)
def test_what_a_stage_depends_on_changes_its_fingerprint(workspace, change):
    before = frame.fingerprint("make", "a")
    change()
    assert frame.fingerprint("make", "a") != before


def test_what_it_does_not_depend_on_leaves_it(workspace):
    before = frame.fingerprint("make", "a")
    Path("raw/b/file").write_text("other")
    Path("code/__pycache__").mkdir()
    Path("code/__pycache__/x.pyc").write_text("x")
    Path("code/.hidden").write_text("x")
    Path("params.yaml").write_text(
        PARAMS.replace("n: 1", "n: 2").replace("raw/b, rate: 1", "raw/b")
    )
    os.utime("raw/a/file", (0, 0))
    assert frame.fingerprint("make", "a") == before
    assert frame.fingerprint("make", "b") != before


def test_shards_are_known_by_their_manifest(workspace):
    folder = Path("build/make/a")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("1")
    before = frame.fingerprint("join")
    (folder / "0.tar").write_text("x")
    assert frame.fingerprint("join") == before
    (folder / "manifest.json").write_text("2")
    assert frame.fingerprint("join") != before


def test_missing_inputs_and_unknown_datasets_are_told(workspace):
    with pytest.raises(ValueError, match=r"build/make: missing; run `dvc repro --pull`"):
        frame.fingerprint("join")
    with pytest.raises(ValueError, match=r"make: dataset 'c' is unknown; choose one of a, b"):
        frame.fingerprint("make", "c")


def test_the_same_work_finds_its_folder_and_other_work_replaces_it(workspace):
    first = frame.work_folder("make", "a")
    (first / "unit").write_text("done")
    other = frame.work_folder("make", "b")
    assert frame.work_folder("make", "a") == first
    assert (first / "unit").exists()
    Path("raw/a/file").write_text("other")
    second = frame.work_folder("make", "a")
    assert second != first
    assert not first.exists()
    assert other.exists()


def test_outputs_appear_whole_and_replace_what_was_there(workspace):
    work = frame.work_folder("make", "a")
    (work / "deep").mkdir()
    (work / "deep" / "file").write_text("new")
    out = Path("build/make/a")
    out.mkdir(parents=True)
    (out / "stale").write_text("old")
    partial = Path("build/make/.a.partial")
    partial.mkdir()
    (partial / "half").write_text("killed while publishing")
    frame.publish(work, out)
    assert [str(path.relative_to(out)) for path in sorted(out.rglob("*"))] == ["deep", "deep/file"]
    assert (work / "deep" / "file").read_text() == "new"
    assert not partial.exists()


def test_a_single_file_is_published_too(workspace):
    work = frame.work_folder("make", "a")
    (work / "a.json").write_text("1")
    frame.publish(work / "a.json", Path("build/deep/a.json"))
    assert Path("build/deep/a.json").read_text() == "1"


STAGE = """
import sys
sys.path.insert(0, {root!r})
from workflows.frame import stage_main

def main(what):
    if what == "value":
        raise ValueError("a.tar: cut; fetch it again")
    if what == "disk":
        open("/absent/file")
    if what == "defect":
        raise KeyError("defect")

stage_main(main)
"""


@pytest.mark.parametrize(
    ("what", "status", "told"),
    [
        ("value", 1, "stage value: a.tar: cut; fetch it again\n"),
        ("disk", 1, "stage disk: /absent/file: No such file or directory\n"),
        ("fine", 0, ""),
    ],
)
def test_a_stage_tells_what_is_wrong_in_one_line(tmp_path, what, status, told):
    done = _run_stage(tmp_path, what)
    assert (done.returncode, done.stderr) == (status, told)


def test_a_defect_keeps_its_traceback(tmp_path):
    done = _run_stage(tmp_path, "defect")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def _run_stage(tmp_path: Path, what: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "stage.py"
    path.write_text(STAGE.format(root=str(ROOT)))
    command = [sys.executable, str(path), what]
    return subprocess.run(command, capture_output=True, text=True, check=False)
