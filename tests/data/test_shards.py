import hashlib
import json
import multiprocessing
import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import webdataset

from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig
from maskspace.data.shards import (
    SPLITS,
    finished_shard,
    open_shards,
    read_manifest,
    shard_facts,
    write_dataset,
)


def config(**changes: object) -> ShardsConfig:
    value = {
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
        **changes,
    }
    return build_section(ShardsConfig, value, place="params.yaml: shards.x")


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


def test_any_index_is_read_directly_also_in_copies(written: Path) -> None:
    shards = open_shards(written, "train")
    every = list(shards)
    assert [shards[i] for i in (5, 0, -1)] == [every[5], every[0], every[-1]]
    assert shards[3:6] == every[3:6]
    assert list(pickle.loads(pickle.dumps(shards))) == every
    with pytest.raises(IndexError):
        shards[len(shards)]


def read_keys(shards: Sequence[Any], indices: list[int], queue: Any) -> None:
    queue.put([shards[i].key for i in indices])


def test_forked_workers_share_no_position(written: Path) -> None:
    shards = open_shards(written, "train")
    keys = [sample.key for sample in shards]
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    orders = [list(range(len(keys))), list(range(len(keys)))[::-1]]
    workers = [context.Process(target=read_keys, args=(shards, o, queue)) for o in orders]
    for worker in workers:
        worker.start()
    answers = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(answers) == sorted([[keys[i] for i in order] for order in orders])


def test_a_truncated_or_altered_shard_is_one_line(written: Path, tmp_path: Path) -> None:
    for name, content in contents(written).items():
        (tmp_path / name).write_bytes(content)
    tar = tmp_path / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"train-000000\.tar: .*again"):
        open_shards(tmp_path, "train")[0]
    said = [one for part in read_manifest(written)["splits"].values() for one in part["shards"]]
    short = next(one for one in said if one["samples"] < 7)
    tar.write_bytes((written / short["name"]).read_bytes())
    with pytest.raises(ValueError, match="its manifest says"):
        open_shards(tmp_path, "train")[0]


def test_unknown_splits_and_missing_manifests_are_one_line(written: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split 'dev' is unknown"):
        open_shards(written, "dev")
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        open_shards(tmp_path, "train")


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
