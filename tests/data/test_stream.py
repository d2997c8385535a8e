import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from maskspace.data.batches import Plan, Turn
from maskspace.data.loader import Mixture, load_dense
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.data.stream import Loader
from maskspace.types import Sample

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

RECTANGLES = read_rectangles("", seed=0, limit=40)[:]


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


def loader(source: Mixture, load=key_and_number, *, length=100, workers=0, limit=100, **plan):
    order = replace(source.order(seed=5, length=length), block=8, window=3)
    chosen = Plan(**{"length": length, "batch": 8} | plan)
    return Loader(
        source.datasets, load, order=order, plan=chosen, workers=workers, corrupt_limit=limit
    )


def rows(one: Loader, epochs: int = 2) -> list[list]:
    return [batch.items for _ in range(epochs) for batch in one]


def joined(ranks: list[Loader]) -> list[list]:
    """The global batches that the ranks' rows make."""
    return [list(chain(*parts)) for parts in zip(*map(rows, ranks), strict=True)]


@pytest.fixture(scope="module")
def sequence() -> list[list]:
    return rows(loader(mixture(), last="pad"))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_sequence(sequence, workers):
    assert rows(loader(mixture(), last="pad", workers=workers)) == sequence


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 0), (4, 0), (8, 0), (2, 2), (4, 1)])
def test_any_number_of_ranks_gives_the_same_sequence(sequence, world, workers):
    ranks = [
        loader(mixture(), last="pad", rank=rank, world=world, workers=workers)
        for rank in range(world)
    ]
    assert len({len(one) for one in ranks}) == 1
    assert joined(ranks) == sequence


def test_epochs_differ_and_all_samples_come(sequence):
    first, second = sequence[:13], sequence[13:]
    assert first != second
    for epoch in (first, second):
        keys = [key for batch in epoch for key, _ in batch][:100]
        assert sum(key.startswith("a") for key in keys) == 75
        assert len({key for key in keys if key.startswith("a")}) >= 60
    keys = [key for batch in first for key, _ in batch][:100]
    assert len(set(keys)) == 75 + 17


def test_the_last_batch_is_dropped_or_padded_and_says_how_many():
    dropped, padded = loader(mixture()), loader(mixture(), last="pad")
    assert (len(dropped), dropped.plan.dropped, dropped.plan.padded) == (12, 4, 0)
    assert (len(padded), padded.plan.dropped, padded.plan.padded) == (13, 0, 4)
    *whole, last = padded
    assert [batch.items for batch in dropped] == [batch.items for batch in whole]
    assert last.padding.tolist() == [False] * 4 + [True] * 4
    assert last.items[4:] == whole[0].items[:4] and not any(b.padding.any() for b in whole)


def test_plans_that_cannot_be_are_refused():
    for wrong in ({"world": 3}, {"rank": 1}, {"batch": 0}, {"batch": 200}):
        with pytest.raises(ValueError, match=r"multiple of|make no batch"):
            loader(mixture(), **wrong)
    assert len(loader(mixture(), batch=200, last="pad")) == 1
    with pytest.raises(ValueError, match="make it from these datasets"):
        Loader(
            {"a": Repeated("a", 5)},
            key_and_number,
            order=mixture().order(seed=0),
            plan=Plan(length=107, batch=1),
        )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 11, 12, 13, 20])
def test_a_state_resumes_with_other_ranks_and_workers(workers, stop):
    whole = rows(loader(mixture()))
    first = loader(mixture(), workers=workers)
    made = []
    while len(made) < stop:
        for batch in first:
            made.append(batch.items)
            if len(made) == stop:
                break
    state = json.loads(json.dumps(first.state_dict()))
    assert len(json.dumps(state)) < 1000
    ranks = [loader(mixture(), rank=rank, world=2, workers=2 - workers) for rank in range(2)]
    for one in ranks:
        one.load_state_dict(state)
    later = [[b.items for _ in range(2) for b in one] for one in ranks]
    resumed = [list(chain(*parts)) for parts in zip(*later, strict=True)]
    assert made == whole[:stop]
    assert resumed[: len(whole) - stop] == whole[stop:]


def test_a_state_of_another_sequence_is_refused():
    state = loader(mixture()).state_dict()
    with pytest.raises(ValueError, match="its batch is 8, here 4"):
        loader(mixture(), batch=4).load_state_dict(state)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_corrupt_records_are_named_once_counted_and_replaced(workers, caplog):
    bad = tuple(range(0, 90, 9))
    one = loader(mixture(bad), workers=workers)
    with caplog.at_level(logging.WARNING):
        found = rows(one)
    lines = [record.getMessage() for record in caplog.records]
    assert {each.index for each in one.corrupt} == set(bad) and len(lines) == len(bad)
    assert lines[0].startswith("skipped a[") and "not a record" in lines[0]
    assert all("\n" not in line for line in lines)
    assert len(one.state_dict()["corrupt"]) == len(bad)
    expected = rows(loader(mixture()))
    for batch, clean in zip(found, expected, strict=True):
        for item, other in zip(batch, clean, strict=True):
            replaced = other[0] in {f"a-{index}" for index in bad}
            assert (item == other) != replaced
            assert item[1] == other[1] and item[0][0] == other[0][0]
    assert found == rows(loader(mixture(bad)))


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_corrupt_records_stop_the_run_in_one_line(workers):
    with pytest.raises(ValueError, match="3 corrupt records and the limit is 2") as error:
        rows(loader(mixture(tuple(range(0, 90, 9))), workers=workers, limit=2))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="nothing to read in its place") as error:
        rows(loader(mixture(tuple(range(90))), workers=workers))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_arrays_arrive_as_they_were_made(workers):
    one = loader(mixture(), load_dense, workers=workers)
    for batch in one:
        for item, turn in zip(batch.items, batch.turns, strict=True):
            expected = load_dense(one.datasets[turn.dataset][turn.index], turn)
            for name, array in vars(expected).items():
                np.testing.assert_array_equal(getattr(item, name), array)


def test_torchs_own_random_numbers_are_left_alone():
    import torch

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    rows(loader(mixture()))
    assert (torch.random.get_rng_state() == before).all()


RUN = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from test_stream import long_loader

one = long_loader(int(sys.argv[3]))
for _ in range(4):
    for batch in one:
        state = one.state_dict()
        print(json.dumps({"items": batch.items, "state": state}), flush=True)
"""


def long_loader(workers: int) -> Loader:
    return loader(mixture((4, 40)), length=600, batch=10, workers=workers)


@pytest.mark.fault
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_killed_run_resumes_to_the_samples_of_the_unbroken_one(workers, tmp_path):
    unbroken = list(chain(*rows(long_loader(0), epochs=4)))
    kill_at = int(np.random.default_rng(workers).integers(3, 90))
    source = Path(__file__).resolve().parents[2] / "src"
    log = tmp_path / "log"
    with log.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, str(Path(__file__).parent), str(source), str(workers)],
            stdout=out,
            start_new_session=True,
        )
        limit = time.monotonic() + 60
        while log.read_bytes().count(b"\n") < kill_at and time.monotonic() < limit:
            time.sleep(0.002)
        os.killpg(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    lines = [json.loads(line) for line in log.read_text().split("\n")[:-1]]
    assert len(lines) >= kill_at
    made = [tuple(item) for line in lines for item in line["items"]]
    assert made == unbroken[: len(made)]
    resumed = long_loader(workers)
    resumed.load_state_dict(lines[-1]["state"])
    following = [item for _ in range(3) for batch in resumed for item in batch.items]
    assert following[:1000] == unbroken[len(made) : len(made) + 1000]
    assert len(following) >= 1000
