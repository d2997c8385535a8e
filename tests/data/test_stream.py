import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from maskspace.data import open_shards as shards_module
from maskspace.data import stream as module
from maskspace.data.manifest import write_manifest
from maskspace.data.open_shards import open_shards
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.data.shards import write_shard
from maskspace.data.stream import Mixture, Turn, open_mixture, stream
from maskspace.files import RemoteFile, locate
from maskspace.types import Sample

RECTANGLES = read_rectangles("", seed=0, limit=40)[:]
BATCHES = [range(start, start + 8) for start in range(0, 320, 8)]


class Repeated(Sequence):
    """A long dataset of few samples, some of them corrupt; a sample's key says its index."""

    def __init__(self, name: str, size: int, corrupt: tuple[int, ...] = ()) -> None:
        self.name, self.size, self.corrupt = name, size, corrupt

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Sample:
        if index in self.corrupt:
            raise ValueError(f"{self.name}.tar:{index}: not a record; make it again")
        return replace(RECTANGLES[index % 40], key=f"{self.name}-{index}")


def key_and_number(sample: Sample, turn: Turn) -> tuple[str, float]:
    """What was read, and what was drawn for it."""
    return sample.key, float(turn.generator().random())


def mixture(corrupt: tuple[int, ...] = ()) -> Mixture:
    datasets = {"a": Repeated("a", 90, corrupt), "b": Repeated("b", 17)}
    return Mixture(datasets=datasets, weights={"a": 3.0, "b": 1.0})


def rows(source: Mixture, batches=BATCHES, load=key_and_number, **options) -> list[list]:
    return list(stream(source, load, batches, **{"seed": 5} | options))


@pytest.fixture(scope="module")
def sequence() -> list[list]:
    return rows(mixture())


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The same 90 samples in shards of 20."""
    folder = tmp_path_factory.mktemp("shards")
    samples = [Repeated("a", 90)[index] for index in range(90)]
    facts = [
        write_shard(folder / "a" / f"train-{shard:06d}.tar", samples[shard * 20 : shard * 20 + 20])
        for shard in range(5)
    ]
    write_manifest(folder / "a", facts, dataset="a", details={})
    return folder


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_that_take_turns_at_batches_make_the_sequence(sequence, processes):
    shares = [rows(mixture(), BATCHES[first::processes]) for first in range(processes)]
    assert [shares[n % processes][n // processes] for n in range(len(BATCHES))] == sequence


@pytest.mark.parametrize("world", [2, 4, 8])
def test_ranks_that_share_batches_make_the_sequence(sequence, world):
    size = 8 // world
    ranks = [
        rows(mixture(), [b[rank * size : (rank + 1) * size] for b in BATCHES])
        for rank in range(world)
    ]
    assert [list(chain(*parts)) for parts in zip(*ranks, strict=True)] == sequence


@pytest.mark.parametrize("start", [0, 1, 13, 39])
def test_it_goes_on_from_any_batch(sequence, start):
    assert rows(mixture(), BATCHES[start:]) == sequence[start:]


def test_every_sample_comes_once_before_any_comes_again(sequence):
    keys = [key for batch in sequence for key, _ in batch]
    for name, size in (("a", 90), ("b", 17)):
        own = [key for key in keys if key.startswith(name)]
        for first in range(0, len(own) - size + 1, size):
            assert len(set(own[first : first + size])) == size
    for epoch in (keys[:107], keys[107:214]):
        assert sum(key.startswith("a") for key in epoch) == 80  # 3/4 of 107
    assert keys[:107] != keys[107:214]
    assert rows(mixture(), seed=6) != sequence


@pytest.mark.parametrize("ahead", [1, 2000, 2**25])
def test_what_is_read_ahead_changes_nothing(written, monkeypatch, ahead):
    monkeypatch.setattr(module, "AHEAD_BYTES", ahead)
    monkeypatch.setattr(shards_module, "GAP_BYTES", ahead % 3000)
    alone = Mixture(datasets={"a": Repeated("a", 90)}, weights={"a": 1.0})
    assert rows(open_mixture(written, {"a": 1.0}, "train")) == rows(alone)


def test_arrays_are_those_of_the_samples(written):
    shards = open_shards(written / "a", "train")
    for sample, turn in chain(*rows(open_mixture(written, {"a": 2.0}, "train"), load=as_it_is)):
        assert sample == shards[turn.index] and turn.dataset == "a"


def as_it_is(sample: Sample, turn: Turn) -> tuple[Sample, Turn]:
    return sample, turn


class Requests:
    """The ranges that are asked of an object store."""

    def __init__(self, monkeypatch) -> None:
        self.ranges: list[tuple[str, int, int]] = []
        read_at = RemoteFile.read_at

        def counted(file: RemoteFile, offset: int, size: int) -> bytes:
            self.ranges.append((str(file._path), offset, size))
            return read_at(file, offset, size)

        monkeypatch.setattr(RemoteFile, "read_at", counted)


def test_an_object_store_is_read_in_stretches_and_forward(written, s3, monkeypatch):
    import fsspec

    fsspec.filesystem("s3").put(str(written), f"{s3}/stream", recursive=True)
    here = rows(open_mixture(written, {"a": 1.0}, "train"), BATCHES[:11])
    there = open_mixture(locate(f"{s3}/stream"), {"a": 1.0}, "train")
    requests = Requests(monkeypatch)
    assert rows(there, BATCHES[:11]) == here
    assert len(requests.ranges) <= 5  # 88 samples of 5 shards
    assert requests.ranges == sorted(requests.ranges)


@pytest.mark.parametrize("processes", [1, 3])
def test_corrupt_records_are_named_once_and_replaced_alike(processes, caplog):
    bad = tuple(range(0, 90, 9))
    with caplog.at_level(logging.WARNING):
        found = rows(mixture(bad))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(bad) and all("\n" not in line for line in lines)
    assert lines[0].startswith("skipped a[") and "not a record" in lines[0]
    for batch, clean in zip(found, rows(mixture()), strict=True):
        for item, other in zip(batch, clean, strict=True):
            replaced = other[0] in {f"a-{index}" for index in bad}
            assert (item == other) != replaced
            assert item[0][0] == other[0][0]
    shares = [rows(mixture(bad), BATCHES[first::processes]) for first in range(processes)]
    assert [shares[n % processes][n // processes] for n in range(len(BATCHES))] == found


def test_a_damaged_record_in_a_shard_is_replaced(written, tmp_path, caplog):
    folder = tmp_path / "a"
    folder.mkdir()
    for path in (written / "a").iterdir():
        content = path.read_bytes()
        if path.name == "train-000001.tar":
            key = b'"key":"a-25"'
            assert content.count(key) == 1
            content = content.replace(key, b'"key":"a-99"')
        (folder / path.name).write_bytes(content)
    found = rows(open_mixture(tmp_path, {"a": 1.0}, "train"))
    clean = rows(open_mixture(written, {"a": 1.0}, "train"))
    differ = [b for a, b in zip(chain(*found), chain(*clean), strict=True) if a != b]
    assert differ and {key for key, _ in differ} == {"a-25"}
    assert len(caplog.records) == 1 and "its record's key is a-99" in caplog.text


def test_too_many_corrupt_records_stop_the_run_in_one_line():
    with pytest.raises(ValueError, match="3 corrupt records and the limit is 2") as error:
        rows(mixture(tuple(range(0, 90, 9))), corrupt_limit=2)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="a: none of 20 samples in a row serves") as error:
        rows(mixture(tuple(range(90))))
    assert "\n" not in str(error.value)


def test_a_sample_of_no_use_is_replaced_and_is_not_corrupt(caplog):
    def load(sample: Sample, turn: Turn) -> tuple[str, float] | None:
        return None if sample.key.endswith("7") else key_and_number(sample, turn)

    found, clean = rows(mixture(), load=load), rows(mixture())
    assert not caplog.records and not any(key.endswith("7") for key, _ in chain(*found))
    for item, other in zip(chain(*found), chain(*clean), strict=True):
        assert (item == other) != other[0].endswith("7")
    with pytest.raises(ValueError, match="nothing to learn from"):
        rows(mixture(), load=lambda sample, turn: None)


def test_the_key_at_a_position_is_that_of_its_sample(sequence):
    keys = [mixture().key_at(position, seed=5) for position in range(24)]
    assert keys == [f"{key[0]}/{key}" for batch in sequence[:3] for key, _ in batch]


def test_a_mixture_leaves_out_what_is_empty_or_weighs_nothing(written):
    assert list(open_mixture(written, {"a": 1.0, "none": 0.0}, "train").datasets) == ["a"]
    with pytest.raises(ValueError, match="no val sample in any of a"):
        open_mixture(written, {"a": 1.0}, "val")
    assert np.isclose(sum(mixture().order(seed=0).order.weights), 4.0)
