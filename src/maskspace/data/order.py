"""The order in which datasets are read: the sequence of every epoch, without storing it.

Input: sizes and shares of datasets, a seed.
Idea: any position can be computed by itself, from the seed and the epoch. So workers, ranks and a
    resumed run agree without messages, and a resumed run skips nothing.
Steps: a pass over a dataset permutes blocks of neighbouring samples, then shuffles inside windows
    of a few blocks. Several datasets are interleaved by a shuffled sequence, in which each has its
    exact share.
Cost: a window of 16 blocks of 32 samples mixes 512 samples and reads 16 stretches of the shards, as
    much as is read ahead at once. For 11 million samples the order of 344 000 blocks is stored, 4
    bytes each; interleaving takes a byte for each sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Int64, UInt8

from maskspace.randomness import Use, generator

_PAGE = 4096  # positions between two stored counts of the interleaved datasets


@dataclass(frozen=True, kw_only=True)
class Order:
    """The samples of every epoch, by dataset and index.

    A dataset goes on where it stopped in the epoch before: a sample comes again only after all
    others of its dataset. With one dataset and its size as `length` an epoch is one pass.

    sizes: number of samples of each dataset.
    weights: share of each dataset, relative to the others.
    length: samples of an epoch; each dataset gives its share, rounded so that the sum is exact.
    seed: of the shuffling.
    block: neighbouring samples in a block (default 32).
    window: blocks in a window (default 16).

    Example:
        >>> order = Order(sizes=(100, 10), weights=(3.0, 1.0), length=40, seed=0)
        >>> order.counts  # three quarters of an epoch, and one quarter
        (30, 10)
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    length: int
    seed: int
    block: int = 32
    window: int = 16

    def __post_init__(self) -> None:
        """Refuse values that give no order."""
        if not self.sizes or len(self.sizes) != len(self.weights) or len(self.sizes) > 255:
            raise ValueError(
                f"{len(self.sizes)} sizes and {len(self.weights)} weights; give 1 to 255 of each"
            )
        if min(self.sizes) < 1 or not all(0 < weight < np.inf for weight in self.weights):
            raise ValueError("a dataset of no sample or no weight has no place; leave it out")
        if min(self.length, self.block, self.window) < 1 or self.seed < 0:
            raise ValueError("length, block and window are at least 1, seed at least 0")

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """The number of samples that each dataset gives to an epoch, by largest remainder."""
        ideal = self.length * np.array(self.weights) / sum(self.weights)
        counts = np.floor(ideal).astype(np.int64)
        short = self.length - int(counts.sum())
        counts[np.argsort(counts - ideal, kind="stable")[:short]] += 1
        return tuple(counts.tolist())

    def epoch(self, number: int) -> "Epoch":
        """Return the sequence of an epoch, from 0."""
        return Epoch(self, number)


class Epoch:
    """One epoch of an order: `epoch[position]` is the number of a dataset and an index in it.

    Example:
        >>> epoch = Order(sizes=(8,), weights=(1.0,), length=8, seed=0).epoch(0)
        >>> sorted(index for dataset, index in epoch)  # every sample once
        [0, 1, 2, 3, 4, 5, 6, 7]
    """

    def __init__(self, order: Order, number: int) -> None:
        if number < 0:
            raise ValueError(f"epochs count from 0; got {number}")
        self.order, self.number = order, number
        self._pass = lru_cache(2 * len(order.sizes))(self._make_pass)

    def __len__(self) -> int:
        """Return the number of samples in the epoch."""
        return self.order.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield all places in order."""
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> tuple[int, int]:
        """Return the dataset and the index in it of the sample at a position of the epoch."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of an epoch of {len(self)} samples")
        dataset, place = self._turn(position)
        size = self.order.sizes[dataset]
        number, place = divmod(self.number * self.order.counts[dataset] + place, size)
        return dataset, self._pass(dataset, number)[place]

    def _turn(self, position: int) -> tuple[int, int]:
        """Return the dataset of a position, and how many samples it has given before."""
        if len(self.order.sizes) == 1:
            return 0, position
        datasets, before = self._interleaved
        dataset, page = int(datasets[position]), position // _PAGE
        recent = datasets[page * _PAGE : position]
        return dataset, int(before[page, dataset]) + int(np.count_nonzero(recent == dataset))

    @cached_property
    def _interleaved(self) -> tuple[UInt8[np.ndarray, " l"], Int64[np.ndarray, "p d"]]:
        """The dataset of every position, and what each has given before every page."""
        counts = self.order.counts
        datasets = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
        generator(Use.INTERLEAVE, self.order.seed, self.number).shuffle(datasets)
        pages = range(0, len(datasets), _PAGE)
        counts_of_pages = [
            np.bincount(datasets[a : a + _PAGE], minlength=len(counts)) for a in pages
        ]
        return datasets, np.cumsum(
            [np.zeros_like(counts_of_pages[0]), *counts_of_pages[:-1]], axis=0
        )

    def _make_pass(self, dataset: int, number: int) -> "Pass":
        order = self.order
        return Pass(
            order.sizes[dataset],
            block=order.block,
            window=order.window,
            seed=(order.seed, dataset, number),
        )


class Pass:
    """A permutation of `range(size)` that advances window by window: `one_pass[position]`.

    Example:
        >>> one_pass = Pass(10, block=2, window=2, seed=(0, 0, 0))
        >>> sorted(one_pass[position] for position in range(len(one_pass)))
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(self, size: int, *, block: int, window: int, seed: tuple[int, int, int]) -> None:
        self._size, self._block, self._per_window, self._seed = size, block, window, seed
        number = -(-size // block)
        base, dataset, repeat = seed
        blocks = generator(Use.BLOCKS, base, dataset, repeat)
        self._blocks = blocks.permutation(np.arange(number, dtype=np.uint32))
        lengths = np.minimum(block, size - self._blocks.astype(np.int64) * block)
        self._ends = np.cumsum(np.add.reduceat(lengths, np.arange(0, number, window)))
        # two, since batches that straddle a border and workers that are ahead ask for both
        self._window = lru_cache(2)(self._make_window)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._size

    def __getitem__(self, position: int) -> int:
        """Return the index of the sample at a position."""
        number = int(np.searchsorted(self._ends, position, side="right"))
        begin = int(self._ends[number - 1]) if number else 0
        return int(self._window(number)[position - begin])

    def _make_window(self, number: int) -> Int64[np.ndarray, " s"]:
        blocks = self._blocks[number * self._per_window : (number + 1) * self._per_window]
        begins = blocks.astype(np.int64) * self._block
        indices = (begins[:, None] + np.arange(self._block)).ravel()
        base, dataset, repeat = self._seed
        inside = generator(Use.WINDOW, base, dataset, repeat, number)
        return inside.permutation(indices[indices < self._size])
