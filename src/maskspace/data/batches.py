"""The batches of an epoch by number: global ones cut from the order, of which a rank has its rows.

Whoever holds this view makes any batch on its own, so that worker processes are only handed
numbers. A record that cannot be read is named and replaced by another one of its dataset, drawn
from the seed and the position: the sequence stays the same for everybody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Bool
from torch.utils.data import Dataset

from maskspace.data.order import Epoch
from maskspace.types import Sample

Item = TypeVar("Item")

_ATTEMPTS = 20  # corrupt records in a row at one position
_DRAW, _REPLACE = 11, 12  # what a generator is for


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A position of an epoch, and the record that was read for it."""

    seed: int
    epoch: int
    position: int
    dataset: str
    index: int

    def generator(self) -> np.random.Generator:
        """Return the generator of whatever is random at this position."""
        return np.random.default_rng((self.seed, _DRAW, self.epoch, self.position, 0))


@dataclass(frozen=True, kw_only=True)
class Corrupt:
    """A record that could not be read, and why."""

    dataset: str
    index: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Batch(Generic[Item]):
    """One rank's rows of a global batch; `padding` marks rows that were added to fill the last."""

    epoch: int
    number: int
    items: list[Item]
    turns: list[Turn]
    padding: Bool[np.ndarray, " b"]


@dataclass(frozen=True, kw_only=True)
class Reading(Generic[Item]):
    """A batch with the records that were skipped for it, or None where too many were in a row."""

    batch: Batch[Item] | None
    corrupt: list[Corrupt]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How an epoch of `length` samples is divided: `batch` rows over all ranks, as many for each.

    What is left at the end is dropped, or filled up with the first samples of the same epoch.
    """

    length: int
    batch: int
    rank: int = 0
    world: int = 1
    last: Literal["drop", "pad"] = "drop"

    def __post_init__(self) -> None:
        """Refuse what cannot be divided."""
        if not 0 <= self.rank < self.world or self.batch < 1 or self.batch % self.world:
            raise ValueError(
                f"rank {self.rank} of {self.world} and batches of {self.batch}: ranks count from "
                "0 and the batch is a multiple of their number"
            )
        if self.batches < 1:
            raise ValueError(
                f"{self.length} samples make no batch of {self.batch}; make it smaller, or pad it"
            )

    @property
    def batches(self) -> int:
        """The batches of an epoch."""
        return (self.length + (self.batch - 1) * (self.last == "pad")) // self.batch

    @property
    def dropped(self) -> int:
        """The samples of an epoch that no batch holds."""
        return max(self.length - self.batches * self.batch, 0)

    @property
    def padded(self) -> int:
        """The rows of the last batch that are there a second time."""
        return max(self.batches * self.batch - self.length, 0)

    def rows(self, number: int) -> range:
        """Return this rank's positions in a batch; those from `length` on are padding."""
        share = self.batch // self.world
        first = number * self.batch + self.rank * share
        return range(first, first + share)


@dataclass(frozen=True, kw_only=True)
class EpochBatches(Dataset, Generic[Item]):
    """One rank's batches of one epoch: `view[number]`."""

    datasets: Mapping[str, Sequence]  # of samples; a checked one would make beartype read some
    load: Callable[[Sample, Turn], Item]
    epoch: Epoch
    plan: Plan

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.plan.batches

    def __getitem__(self, number: int) -> Reading[Item]:
        """Return a batch: all its records are read in the order of the files, then loaded."""
        rows, corrupt = self.plan.rows(number), []
        positions = [row % self.plan.length for row in rows]
        places = [self.epoch[position] for position in positions]
        # reading forward is what disks like, and reading apart from decoding what caches like
        read: dict[int, Iterator[tuple[Turn, Sample]]] = {}
        for row in sorted(range(len(rows)), key=places.__getitem__):
            candidates = self._candidates(positions[row], places[row], corrupt)
            read[row] = chain(list(islice(candidates, 1)), candidates)
        loaded: list[tuple[Turn, Item]] = []
        for row in range(len(rows)):
            one = self._first_that_loads(read[row], corrupt)
            if one is None:
                return Reading(batch=None, corrupt=corrupt)
            loaded.append(one)
        batch = Batch(
            epoch=self.epoch.number,
            number=number,
            items=[item for _, item in loaded],
            turns=[turn for turn, _ in loaded],
            padding=np.array(rows) >= self.plan.length,
        )
        return Reading(batch=batch, corrupt=corrupt)

    def _candidates(
        self, position: int, place: tuple[int, int], corrupt: list[Corrupt]
    ) -> Iterator[tuple[Turn, Sample]]:
        """Yield the sample of a place, then others to take its place, as far as they are read."""
        name, dataset = list(self.datasets.items())[place[0]]
        seed, epoch, index = self.epoch.order.seed, self.epoch.number, place[1]
        for attempt in range(_ATTEMPTS):
            turn = Turn(seed=seed, epoch=epoch, position=position, dataset=name, index=index)
            try:
                sample = dataset[index]
            except ValueError as error:
                corrupt.append(Corrupt(dataset=name, index=index, reason=str(error)))
            else:
                yield turn, sample
            generator = np.random.default_rng((seed, _REPLACE, epoch, position, attempt))
            index = int(generator.integers(len(dataset)))

    def _first_that_loads(
        self, candidates: Iterator[tuple[Turn, Sample]], corrupt: list[Corrupt]
    ) -> tuple[Turn, Item] | None:
        for turn, sample in candidates:
            try:
                return turn, self.load(sample, turn)
            except ValueError as error:
                reason = str(error)
                corrupt.append(Corrupt(dataset=turn.dataset, index=turn.index, reason=reason))
        return None
