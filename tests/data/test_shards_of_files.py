"""Shards of files that change, or that cannot be read: nothing old stays, nothing bad ends all."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig
from maskspace.data.listings import safe_key
from maskspace.data.open_shards import open_shards
from maskspace.data.shards import write_dataset
from maskspace.data.source import PackedNames

NUMBER = 24


def config(root: Path) -> ShardsConfig:
    value = {
        "reader": {"name": "folder", "options": {}},
        "root": str(root),
        "seed": 0,
        "limit": None,
        "split": {"mode": "hash", "val": 0.0, "test": 0.0},
        "split_components": False,
        "min_component_area": 1,
        "containment": 0.95,
        "samples_per_shard": 7,
        "repack": True,
        "store": ".",
    }
    return build_section(ShardsConfig, value, place="params.yaml: shards.x")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    root = tmp_path / "pairs"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(NUMBER):
        pixels = np.full((20, 30, 3), number, np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"i{number:02d}.png")
        write_mask(root, number, rows=8)
    return root


def write_mask(root: Path, number: int, *, rows: int) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:rows, :10] = 255
    Image.fromarray(mask).save(root / "masks" / f"i{number:02d}.png")


def other_mask(root: Path) -> None:
    write_mask(root, 3, rows=5)


def other_image(root: Path) -> None:
    Image.new("RGB", (30, 20), "white").save(root / "images" / "i03.png")


def other_time(root: Path) -> None:
    os.utime(root / "images" / "i03.png", ns=(1, 1))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "inputs.json"}


@pytest.mark.parametrize("change", [other_mask, other_image, other_time])
@pytest.mark.parametrize("ended", [True, False])
def test_shards_of_data_that_changed_are_written_again(change, ended, pairs, tmp_path):
    def map_units(function, units):
        for number, unit in enumerate(units):
            if number == 2 and not ended:
                raise KeyboardInterrupt
            yield function(unit)

    folder = tmp_path / "shards"
    try:
        write_dataset(folder, "x", config(pairs), READERS, map_units=map_units)
    except KeyboardInterrupt:
        assert not ended
    change(pairs)
    write_dataset(folder, "x", config(pairs), READERS)
    write_dataset(tmp_path / "fresh", "x", config(pairs), READERS)
    assert contents(folder) == contents(tmp_path / "fresh")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    write_dataset(folder, "x", config(pairs), READERS)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")} == before


def no_image(root: Path) -> None:
    (root / "images" / "i03.png").write_bytes(b"no image")


def no_mask(root: Path) -> None:
    (root / "masks" / "i03.png").write_bytes(b"")


def mask_of_another_size(root: Path) -> None:
    Image.new("L", (3, 3), 255).save(root / "masks" / "i03.png")


@pytest.mark.parametrize("spoil", [no_image, no_mask, mask_of_another_size])
def test_a_sample_that_its_reader_refuses_is_listed_and_left_out(spoil, pairs, tmp_path, capsys):
    spoil(pairs)
    write_dataset(tmp_path / "shards", "x", config(pairs), READERS)
    assert f"1 of {NUMBER} samples cannot be read: i03" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "shards" / "manifest.json").read_text())
    refused = [one.get("refused", {}) for one in manifest["splits"]["train"]["shards"]]
    assert [list(found) for found in refused if found] == [["i03"]]
    shards = open_shards(tmp_path / "shards", "train")
    assert sorted(s.key for s in shards) == [f"i{n:02d}" for n in range(NUMBER) if n != 3]


def test_many_that_are_refused_end_the_run(pairs, tmp_path):
    for number in range(3):
        (pairs / "images" / f"i{number:02d}.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=f"3 of {NUMBER} samples cannot be read: i00"):
        write_dataset(tmp_path / "shards", "x", config(pairs), READERS)


#: Names that files have.
NAMES = ("a", "a b", "50%", "feature%2Fx", "what?", "no#1", "it's \"x\"", "caf\u00e9", "日本",
         os.fsdecode(b"caf\xe9"))  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_images_of_any_name_are_read_and_written(name, pairs, tmp_path):
    for folder in ("images", "masks"):
        (pairs / folder / "i00.png").rename(pairs / folder / f"{name}.png")
    write_dataset(tmp_path / "shards", "x", config(pairs), READERS)
    found = {sample.key: sample for sample in open_shards(tmp_path / "shards", "train")}
    assert len(found) == NUMBER
    assert found[safe_key(name)].annotations[0].area == 80
    assert list(PackedNames([name, "b"])) == [name, "b"]
