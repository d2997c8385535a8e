"""Many images: patterns, resume, workers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main


@pytest.fixture
def photos(tmp_path) -> Path:
    for number, name in enumerate(("a1.png", "a2.png", "a10.png", "b/c.png")):
        pixels = np.full((24, 32, 3), 30 + 20 * number, np.uint8)
        pixels[4 : 12 + number, 6:20] = 220
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "in"


def segment(given: object, out: Path, *options: str) -> int:
    command = ["segment", str(given), "--model", "lab", "--regions", "3", "--format", "npz"]
    return main([*command, "--out", str(out), *options])


def test_a_pattern_is_the_images_that_match_it(photos, tmp_path, capsys):
    assert segment(photos / "**" / "a*.png", tmp_path / "out") == 0
    written = capsys.readouterr().out.split()
    assert [Path(path).name for path in written] == ["a1.npz", "a2.npz", "a10.npz"]
    assert segment(photos / "*.jpg", tmp_path / "none") == 2
    assert "no file matches" in capsys.readouterr().err


def test_resume_does_what_is_missing_or_has_changed(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert segment(photos, out) == 0  # by options that nobody knows
    capsys.readouterr()
    assert segment(photos, out, "--resume") == 0
    assert len(capsys.readouterr().out.split()) == 4
    (out / "a2.npz").unlink()
    later = (out / "a1.npz").stat().st_mtime + 5
    os.utime(photos / "b" / "c.png", (later, later))
    assert segment(photos, out, "--resume") == 0
    told = capsys.readouterr()
    assert [Path(path).name for path in told.out.split()] == ["a2.npz", "c.npz"]
    assert "2 of 4 images are done already" in told.err


def test_resume_with_other_options_is_refused(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert segment(photos, out, "--resume") == 0
    assert segment(photos, out, "--resume", "--least-area", "7") == 2
    assert "another --least-area" in capsys.readouterr().err
    assert segment(photos, out, "--resume", "--workers", "1", "--max-left-out", "0.5") == 0
    (out / ".segment.json").write_text("{")
    assert segment(photos, out, "--resume") == 2
    whole = tmp_path / "all.json"
    assert segment(photos, whole, "--resume", "--format", "coco") == 2
    assert "--out DIR" in capsys.readouterr().err and not whole.exists()


def test_what_another_process_says_is_told_here(tmp_path, capsys):
    """One image alone needs no process of its own, but goes the same way."""
    path = tmp_path / "film.gif"
    frames = [Image.fromarray(np.full((20, 24, 3), value, np.uint8)) for value in (0, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert segment(path, tmp_path / "out", "--workers", "2") == 0
    told = capsys.readouterr()
    assert told.err.count("2 pages; the first is taken") == 1 and "film.npz" in told.out


@pytest.mark.slow
@pytest.mark.usefixtures("shared_ray")
def test_workers_write_the_same_and_tell_the_same(photos, tmp_path, capfd):
    (photos / "bad.png").write_text("no image")
    told = {}
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert segment(photos, out, "--workers", workers) == 2
        captured = capfd.readouterr()
        told[workers] = captured.out.replace(str(out), "out")
        assert sum("bad.png" in line for line in captured.err.splitlines()) == 1
        assert segment(photos, out / "all.json", "--format", "coco", "--workers", workers) == 2
        capfd.readouterr()
    assert told["1"] == told["2"]
    for file in sorted((tmp_path / "1").rglob("*.npz")):
        other = tmp_path / "2" / file.relative_to(tmp_path / "1")
        np.testing.assert_array_equal(np.load(file)["labels"], np.load(other)["labels"])
    one, two = (json.loads((tmp_path / n / "all.json").read_text()) for n in ("1", "2"))
    assert one == two and len(one["images"]) == 4
