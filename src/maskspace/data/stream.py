"""The loader: weighted mixtures of datasets -> batches of items, read forward from any position.

Input: shards, here or at a URL, and the positions of the batches that are asked for.
Idea: `order` computes the sample at a position from the seed alone. So any process makes any batch,
    and a run goes on anywhere, without messages between processes and without skipping.
Steps: read the samples of some batches ahead together, in the order of the files, neighbours in one
    read, while earlier ones are decoded; make each sample an item; put items into batches.
Cost: a read for each stretch of a block; twice the bytes that are read ahead.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from maskspace.data.open_shards import Shards, StoredSample, open_shards
from maskspace.data.order import Epoch, Order
from maskspace.files import AnyPath, locate
from maskspace.randomness import Use, generator
from maskspace.types import Sample

Item = TypeVar("Item")

#: Bytes of encoded samples that a process reads ahead of those it decodes.
AHEAD_BYTES = 32 * 2**20
#: Samples that it reads ahead at most.
AHEAD_SAMPLES = 512

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 20  # samples in a row, at one position, that are corrupt or of no use


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A position in the order of training, and the sample that is tried for it.

    seed: that of the training.
    position: counted from 0 over all epochs.
    attempt: 0 for the sample of this position, more for its replacements.
    dataset, index: where the sample is.

    Example:
        >>> turn = Turn(seed=0, position=5, attempt=0, dataset="toy", index=3)
        >>> turn.generator().random() == turn.generator().random()
        True
    """

    seed: int
    position: int
    attempt: int
    dataset: str
    index: int

    def generator(self) -> np.random.Generator:
        """Return the generator of everything random at this position."""
        return generator(Use.CROP, self.seed, self.position, self.attempt)


@dataclass(frozen=True)
class Mixture:
    """Several datasets, mixed by weight.

    datasets: name -> samples by index, such as `Shards`.
    weights: name -> share of the dataset, above 0; shares are relative to each other.

    Example:
        >>> mixture = Mixture(datasets={"a": range(8), "b": range(4)}, weights={"a": 1.0, "b": 3.0})
        >>> positions = mixture.order(seed=0)
        >>> [positions[n][0] for n in range(12)].count("b")  # three of four
        9
    """

    datasets: Mapping[str, Sequence]  # of samples; a checked one would make beartype read some
    weights: Mapping[str, float]

    def order(self, *, seed: int) -> "Positions":
        """Return the endless sequence of samples by position."""
        sizes = tuple(len(dataset) for dataset in self.datasets.values())
        weights = tuple(float(self.weights[name]) for name in self.datasets)
        return Positions(
            names=tuple(self.datasets),
            order=Order(sizes=sizes, weights=weights, length=sum(sizes), seed=seed),
        )

    def key_at(self, position: int, *, seed: int) -> str:
        """Return `DATASET/KEY` of the sample at a position."""
        name, index = self.order(seed=seed)[position]
        return f"{name}/{self.datasets[name][index].key}"


def open_mixture(root: str | AnyPath, weights: Mapping[str, float], split: str) -> Mixture:
    """Return the mixture of the shard folders `root/NAME` whose weight is above 0.

    Datasets without a sample in this split are left out; ValueError if none is left.

    Args:
        root: a path or any URL that fsspec knows.
        weights: name of a dataset -> its share, relative to the others.
        split: "train", "val" or "test".

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> mixture = open_mixture(folder.parent, {folder.name: 1.0}, "train")
        >>> list(mixture.datasets) == [folder.name], mixture.weights == {folder.name: 1.0}
        (True, True)
    """
    place = locate(root)
    return mix_shards({name: place / name for name in weights}, weights, split)


def mix_shards(
    places: Mapping[str, str | AnyPath], weights: Mapping[str, float], split: str
) -> Mixture:
    """Return the mixture of shard folders, each at a place of its own.

    Datasets without a sample in this split are left out. Raises ValueError if that leaves none.

    Args:
        places: name of a dataset -> its folder, a path or any URL that fsspec knows.
        weights: name of a dataset -> its share, relative to the others; with a share of 0 it is
            left out.
        split: "train", "val" or "test".

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> mixture = mix_shards({"toy": folder}, {"toy": 1.0}, "train")
        >>> len(mixture.datasets["toy"])
        2
        >>> mix_shards({"toy": folder}, {"toy": 0.0}, "train")
        Traceback (most recent call last):
            ...
        ValueError: ...: no train sample in any of toy
    """
    opened = {n: open_shards(places[n], split) for n, weight in weights.items() if weight > 0}
    filled = {name: shards for name, shards in opened.items() if len(shards)}
    if not filled:
        tried = ", ".join(str(place) for place in places.values())
        raise ValueError(f"{tried}: no {split} sample in any of {', '.join(weights)}")
    return Mixture(datasets=filled, weights=weights)


def join_mixtures(parts: Mapping[str, tuple[Mixture, float]]) -> Mixture:
    """Return several mixtures as one.

    Args:
        parts: prefix of the datasets' names -> a mixture and its share; with share 0 it is left
            out.

    Example:
        >>> photos = Mixture(datasets={"a": range(8), "b": range(4)}, weights={"a": 1.0, "b": 3.0})
        >>> drawings = Mixture(datasets={"c": range(2)}, weights={"c": 5.0})
        >>> join_mixtures({"photos/": (photos, 0.8), "drawings/": (drawings, 0.2)}).weights
        {'photos/a': 0.2, 'photos/b': 0.6000000000000001, 'drawings/c': 0.2}
    """
    datasets, weights = {}, {}
    for prefix, (mixture, share) in parts.items():
        total = sum(mixture.weights[name] for name in mixture.datasets)
        for name, dataset in mixture.datasets.items() if share else ():
            datasets[prefix + name] = dataset
            weights[prefix + name] = share * mixture.weights[name] / total
    return Mixture(datasets=datasets, weights=weights)


@dataclass(frozen=True)
class Positions:
    """An order without end: `positions[n]` is the name of a dataset and an index in it.

    Example:
        >>> positions = Mixture(datasets={"a": range(8)}, weights={"a": 1.0}).order(seed=0)
        >>> sorted(positions[n][1] for n in range(8))  # the first pass: every sample once
        [0, 1, 2, 3, 4, 5, 6, 7]
        >>> positions[1000] == positions[1000]
        True
    """

    names: tuple[str, ...]
    order: Order

    def __getitem__(self, position: int) -> tuple[str, int]:
        """Return the dataset and the index in it of the sample at a position."""
        number, place = divmod(position, self.order.length)
        dataset, index = self._epoch(number)[place]
        return self.names[dataset], index

    @property
    def sequence(self) -> dict[str, object]:
        """The values on which the sequence depends; processes and ranks are not among them."""
        return {"datasets": self.names, **asdict(self.order)}

    def _epoch(self, number: int) -> Epoch:
        """Return an epoch; the last two are kept, as a batch may lie in two epochs."""
        known = self._epochs
        if number not in known:
            while len(known) > 1:
                known.pop(next(iter(known)))
            known[number] = self.order.epoch(number)
        return known[number]

    @cached_property
    def _epochs(self) -> dict[int, Epoch]:
        return {}


def stream(
    mixture: Mixture,
    load: Callable[[Sample, Turn], Item | None],
    batches: Iterable[range],
    *,
    seed: int,
    corrupt_limit: int = 100,
) -> Iterator[list[Item]]:
    """Yield the items of the positions of each batch; they depend on the seed alone.

    A record that cannot be read is named in a warning and replaced by another one of its dataset,
    the same one wherever the position is asked for. ValueError if 20 samples in a row cannot be
    used at a position, or if more than `corrupt_limit` records are corrupt.

    Args:
        mixture: the datasets.
        load: sample, turn -> item, or None if the sample is of no use. Its random numbers come from
            the turn's generator. Its ValueError means that the record is corrupt.
        batches: the positions of each batch; some are taken in advance, to read ahead.
        seed: of the order and of all that is random.
        corrupt_limit: corrupt records at most (default 100).

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> toy = read_rectangles("", seed=0, limit=4)
        >>> mixture = Mixture(datasets={"toy": toy}, weights={"toy": 1.0})
        >>> batches = [range(0, 2), range(2, 4)]
        >>> keys = list(stream(mixture, lambda sample, turn: sample.key, batches, seed=0))
        >>> [len(batch) for batch in keys], len({*keys[0], *keys[1]})
        ([2, 2], 4)
    """
    reader = _Reader(mixture, seed=seed, corrupt_limit=corrupt_limit)
    for group, stored in _read_ahead(reader, _groups(reader, batches)):
        for positions in group:
            yield [reader.item(position, stored, load) for position in positions]


Place = tuple[str, int]


class _Reader:
    """Samples by position: those that were read ahead, or replacements if these cannot be used."""

    def __init__(self, mixture: Mixture, *, seed: int, corrupt_limit: int) -> None:
        self._datasets, self._seed = mixture.datasets, seed
        self._places = mixture.order(seed=seed)
        self._corrupt, self._limit = set[Place](), corrupt_limit

    def size(self, position: int) -> int:
        """Return the bytes that are to be read for a position."""
        name, index = self._places[position]
        dataset = self._datasets[name]
        return dataset.bytes_of(index) if isinstance(dataset, Shards) else 0

    def read(self, positions: list[int]) -> dict[Place, StoredSample]:
        """Return the stored samples at some positions; those that cannot be read are left out."""
        wanted: dict[str, set[int]] = {}
        for name, index in map(self._places.__getitem__, positions):
            wanted.setdefault(name, set()).add(index)
        stored: dict[Place, StoredSample] = {}
        for name, indices in wanted.items():
            dataset = self._datasets[name]
            if isinstance(dataset, Shards):
                # what fails here is read again by itself, where it says which record it is
                with suppress(ValueError):
                    for index, sample in dataset.read_stored(sorted(indices)):
                        stored[name, index] = sample
        return stored

    def item(
        self,
        position: int,
        stored: Mapping[Place, StoredSample],
        load: Callable[[Sample, Turn], Item | None],
    ) -> Item:
        """Return the item at a position."""
        name, index = self._places[position]
        reason = "nothing to learn from"
        for attempt in range(_ATTEMPTS):
            turn = Turn(
                seed=self._seed, position=position, attempt=attempt, dataset=name, index=index
            )
            try:
                read_ahead = stored.get((name, index))
                item = load(
                    read_ahead.sample() if read_ahead else self._datasets[name][index], turn
                )
            except ValueError as error:
                reason = str(error)
                self._count_corrupt((name, index), reason)
            else:
                if item is not None:
                    return item
            others = generator(Use.REPLACE, self._seed, position, attempt)
            index = int(others.integers(len(self._datasets[name])))
        raise ValueError(
            f"{name}: none of {_ATTEMPTS} samples in a row serves, the last: {reason}; "
            "validate the shards"
        )

    def _count_corrupt(self, place: Place, reason: str) -> None:
        if place not in self._corrupt:
            self._corrupt.add(place)
            _LOG.warning("skipped %s[%d]: %s", *place, reason)
        if len(self._corrupt) > self._limit:
            raise ValueError(
                f"{reason}; {len(self._corrupt)} corrupt records and the limit is "
                f"{self._limit}: validate the shards"
            )


def _groups(reader: _Reader, batches: Iterable[range]) -> Iterator[list[range]]:
    """Yield batches in groups; the samples of a group are read together."""
    group: list[range] = []
    size = number = 0
    for positions in batches:
        group.append(positions)
        size += sum(map(reader.size, positions))
        number += len(positions)
        if size >= AHEAD_BYTES or number >= AHEAD_SAMPLES:
            yield group
            group, size, number = [], 0, 0
    if group:
        yield group


def _read_ahead(
    reader: _Reader, groups: Iterable[list[range]]
) -> Iterator[tuple[list[range], dict[Place, StoredSample]]]:
    """Yield each group with its samples, while those of the next are read in a thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="stream") as thread:
        begun: deque[tuple[list[range], Future]] = deque()
        for group in groups:
            begun.append((group, thread.submit(reader.read, [p for b in group for p in b])))
            if len(begun) > 1:
                first, read = begun.popleft()
                yield first, read.result()
        for group, read in begun:
            yield group, read.result()
