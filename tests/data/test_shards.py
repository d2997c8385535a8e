import hashlib
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import webdataset

from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data import shards as module
from maskspace.data.config import ShardsConfig
from maskspace.data.shards import (
    SPLITS,
    finished_shard,
    open_shards,
    read_manifest,
    shard_facts,
    write_dataset,
)

VALUE: dict[str, Any] = {
    "reader": {"name": "rectangles", "options": {"size_hw": [32, 32], "noise": 3.0}},
    "root": "",
    "seed": 1,
    "limit": 40,
    "split": {"mode": "hash", "val": 0.2, "test": 0.2},
    "split_components": True,
    "min_component_area": 4,
    "containment": 0.9,
    "samples_per_shard": 7,
    "repack": True,
    "store": ".",
}
WHOLE = {"mode": "hash", "val": 0.0, "test": 0.0}


def config(**changes: object) -> ShardsConfig:
    return build_section(ShardsConfig, {**VALUE, **changes}, place="params.yaml: shards.x")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_dataset(folder, "rectangles", config(), READERS)
    return folder


def test_samples_come_back_as_they_were(written: Path) -> None:
    source = READERS["rectangles"]("", seed=1, limit=40, size_hw=(32, 32), noise=3.0)  # type: ignore[call-arg]
    back = {sample.key: sample for split in SPLITS for sample in open_shards(written, split)}
    assert sorted(back) == sorted(source.keys)
    for sample in source:
        found = back[sample.key]
        assert replace(found, annotations=()) == replace(sample, annotations=())
        kept = {a.counts for a in sample.annotations if a.area >= 4}
        assert {a.counts for a in found.annotations} == kept


def test_the_manifest_tells_what_is_there(written: Path) -> None:
    manifest = read_manifest(written)
    for split in SPLITS:
        part, shards = manifest["splits"][split], open_shards(written, split)
        assert part["samples"] == len(shards) == sum(s["samples"] for s in part["shards"])
        assert part["masks"] == sum(len(sample.annotations) for sample in shards)
        for said in part["shards"]:
            content = (written / said["name"]).read_bytes()
            assert said["bytes"] == len(content)
            assert said["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["totals"]["samples"] == 40
    assert manifest["reader"]["options"]["repeat"] == 0.3


def test_what_writing_says_is_what_reading_all_of_it_finds(written: Path) -> None:
    for tar in sorted(written.glob("*.tar")):
        facts, found = finished_shard(tar), shard_facts(tar)
        assert facts == found and facts is not None
        assert facts.counts == found.counts
    parts = read_manifest(written)["splits"].values()
    assert sum(sum(part["counts"]["areas"]) for part in parts) == sum(p["masks"] for p in parts)


def backwards(function: Callable[[Any], Any], units: Sequence[Any]) -> Iterable[Any]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(function, units[::-1]))[::-1]


def test_order_and_number_of_workers_change_no_byte(written: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, "rectangles", config(), READERS, map_units=backwards)
    assert contents(tmp_path) == contents(written)


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(written: Path, tmp_path: Path) -> None:
    def killed(function: Callable[[Any], Any], units: Sequence[Any]) -> Iterable[Any]:
        for unit in units[:3]:
            function(unit)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, "rectangles", config(), READERS, map_units=killed)
    assert not (tmp_path / "manifest.json").exists()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}
    assert len(done) == 3
    (tmp_path / "val-000000.tar.partial").write_bytes(b"half a shard")
    write_dataset(tmp_path, "rectangles", config(), READERS)
    assert contents(tmp_path) == contents(written)
    assert all(path.stat().st_mtime_ns == then for path, then in done.items())


def test_webdataset_reads_the_shards(written: Path) -> None:
    tars = sorted(str(path) for path in written.glob("train-*.tar"))
    seen = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))
    ours = list(open_shards(written, "train"))
    assert [record["__key__"] for record in seen] == [sample.key for sample in ours]
    assert [record["png"] for record in seen] == [sample.image for sample in ours]
    assert [json.loads(r["json"])["key"] for r in seen] == [sample.key for sample in ours]


def test_a_number_of_bytes_decides_how_many_samples_make_a_shard(tmp_path: Path) -> None:
    target, folder, other = 40_000, tmp_path / "a", tmp_path / "b"
    sized = config(samples_per_shard={"bytes": target}, split=WHOLE)
    write_dataset(folder, "rectangles", sized, READERS)
    sizes = [one["bytes"] for one in read_manifest(folder)["splits"]["train"]["shards"]]
    assert len(sizes) > 2
    # a tar is filled up to a multiple of 10 240 bytes
    assert all(target / 1.3 < size < target * 1.3 + 10_240 for size in sizes[:-1])
    write_dataset(other, "rectangles", sized, READERS, map_units=backwards)
    assert contents(other) == contents(folder)


def test_the_number_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(function: Callable[[Any], Any], units: Sequence[Any]) -> Iterable[Any]:
        function(units[0])
        raise KeyboardInterrupt

    sized = config(samples_per_shard={"bytes": 20_000})
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "a", "rectangles", sized, READERS, map_units=killed)
    write_dataset(tmp_path / "b", "rectangles", sized, READERS)
    monkeypatch.setattr(module, "PROBED", 0)
    write_dataset(tmp_path / "a", "rectangles", sized, READERS)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_shards_of_other_parameters_are_never_taken_for_ours(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "copy"))
    write_dataset(folder, "rectangles", config(), READERS)
    assert contents(folder) == contents(written)
    for other in ({"seed": 2}, {"containment": 0.8}, {"limit": 41}):
        with pytest.raises(ValueError, match="copy: has shards of other parameters"):
            write_dataset(folder, "rectangles", config(**other), READERS)
    assert contents(folder) == contents(written)


def test_a_shard_cut_short_after_its_run_is_written_again(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "copy"))
    cut, lost, whole = sorted(folder.glob("train-*.tar"))[:3]
    cut.write_bytes(cut.read_bytes()[:-600])
    lost.with_name(f"{lost.name}.json").write_text("")
    then = whole.stat().st_mtime_ns
    write_dataset(folder, "rectangles", config(), READERS)
    assert contents(folder) == contents(written)
    assert whole.stat().st_mtime_ns == then


def processes(number: int) -> Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]:
    def mapped(function: Callable[[Any], Any], units: Sequence[Any]) -> Iterable[Any]:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(number, mp_context=context) as pool:
            return list(pool.map(function, units))

    return mapped


@pytest.mark.parametrize("number", [1, 2])
def test_other_processes_write_the_same_bytes(written: Path, tmp_path: Path, number: int) -> None:
    write_dataset(tmp_path, "rectangles", config(), READERS, map_units=processes(number))
    assert contents(tmp_path) == contents(written)


OVER_RAY = """
import json, sys
from pathlib import Path
from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig
from maskspace.data.shards import write_dataset
from maskspace.parallel import connect, map_units

if __name__ == "__main__":
    config = build_section(ShardsConfig, json.loads(sys.argv[2]), place="x")
    with connect():
        write_dataset(Path(sys.argv[1]), "rectangles", config, READERS, map_units=map_units)
    assert "ray" in sys.modules
"""


@pytest.mark.fault
def test_ray_writes_the_same_bytes(written: Path, tmp_path: Path, shared_ray: None) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(OVER_RAY)
    command = [sys.executable, str(driver), str(tmp_path / "out"), json.dumps(VALUE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(written)


@pytest.mark.fault
def test_killed_at_any_moment_the_same_bytes_come_out(tmp_path: Path) -> None:
    value = {**VALUE, "limit": 80, "samples_per_shard": {"bytes": 40_000}}
    write_dataset(tmp_path / "whole", "rectangles", config(**value), READERS)
    expected, rng = contents(tmp_path / "whole"), random.Random(0)
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        for _ in range(2):
            start_and_kill(value, folder, rng.randint(0, len(expected)))
        write_dataset(folder, "rectangles", config(**value), READERS)
        assert contents(folder) == expected


def start_and_kill(value: dict[str, Any], folder: Path, files: int) -> None:
    """Kill a run as soon as it has begun so many files, or at its end."""
    context = multiprocessing.get_context("fork")
    arguments = (folder, "rectangles", config(**value), READERS)
    process = context.Process(target=write_dataset, args=arguments)
    process.start()
    while process.is_alive() and len(list(folder.glob("*"))) < files:
        process.join(0.001)
    process.kill()
    process.join()


def test_a_split_that_would_be_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of its 2 samples falls in the split"):
        write_dataset(tmp_path, "rectangles", config(limit=2), READERS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": "many"}, "limit"),
        ({"rot": 1}, "rot: unknown key"),
        ({"containment": 0.2}, "containment is in"),
        ({"split": {"mode": "hash", "val": 0.6, "test": 0.5}}, "sum is below 1"),
        ({"split": {"mode": "random", "val": 0.1, "test": 0.1}}, "mode"),
    ],
)
def test_wrong_params_name_their_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        config(**change)
    assert str(caught.value).startswith("params.yaml: shards.x")
