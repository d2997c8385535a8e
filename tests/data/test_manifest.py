import json
from dataclasses import replace
from pathlib import Path

import pytest

from maskspace.data import READERS
from maskspace.data.counts import Counts
from maskspace.data.manifest import (
    ShardFacts,
    facts_of,
    finished_shard,
    read_manifest,
    read_sidecar,
    shards_folder,
    sidecar_path,
    write_manifest,
    write_sidecar,
)
from maskspace.data.shards import write_shard


def facts(name: str, samples: int) -> ShardFacts:
    counts = Counts(samples=samples, masks=2 * samples, areas=(samples, samples))
    return ShardFacts(
        name=name, samples=samples, masks=2 * samples, bytes=10, sha256="0", counts=counts
    )


def test_a_manifest_sums_what_its_shards_say_in_their_order(tmp_path: Path) -> None:
    shards = [
        facts("val-000000.tar", 1),
        facts("train-000001.tar", 2),
        facts("train-000000.tar", 4),
    ]
    (tmp_path / "train-000000.tar.partial").write_bytes(b"left by a kill")
    write_manifest(tmp_path, shards, dataset="d", details={"seed": 3})
    manifest = read_manifest(tmp_path)
    assert manifest["totals"] == {"samples": 7, "masks": 14, "bytes": 30}
    assert [one.name for one in facts_of(manifest, "train")] == [s.name for s in shards[:0:-1]]
    assert manifest["splits"]["train"]["counts"]["areas"] == [6, 6]
    assert manifest["splits"]["test"]["samples"] == 0 and manifest["seed"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_shards_are_beside_their_manifest_unless_it_says_where(tmp_path: Path) -> None:
    assert shards_folder(tmp_path, {}) == tmp_path
    assert str(shards_folder(tmp_path, {"stored_in": "memory://a/b"})) == "memory://a/b"


def test_a_manifest_that_is_no_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest\.json: not JSON .*make it again"):
        read_manifest(tmp_path)


def test_a_shard_is_finished_if_its_sidecar_says_its_size(tmp_path: Path) -> None:
    shard = tmp_path / "train-000000.tar"
    written = write_shard(shard, READERS["rectangles"]("", seed=0, limit=2))
    assert finished_shard(shard) == written
    sidecar = read_sidecar(shard)
    assert sidecar is not None and len(sidecar.places) == 2
    write_sidecar(shard, replace(sidecar, facts=replace(written, bytes=3)))
    assert finished_shard(shard) is None
    write_sidecar(shard, sidecar)
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert finished_shard(shard) is None
    shard.unlink()
    assert finished_shard(shard) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"places": 3}', '{"places": [[1]]}', "\0"])
def test_a_sidecar_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    shard = tmp_path / "train-000000.tar"
    sidecar_path(shard).write_text(text)
    assert read_sidecar(shard) is None
    assert finished_shard(shard) is None


def test_a_sidecar_with_an_unknown_field_is_none(tmp_path: Path) -> None:
    shard = tmp_path / "train-000000.tar"
    write_shard(shard, READERS["rectangles"]("", seed=0, limit=1))
    path = sidecar_path(shard)
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    assert read_sidecar(shard) is None
