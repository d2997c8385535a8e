"""A sample as arrays, and weighted mixtures of datasets: what training and evaluation read.

A mixture is read by position: `at` goes through the samples in passes, block by block, in an order
that the seed alone decides, so that any worker finds any step's batch on its own, and sets of
terabytes are read in stretches. `order` is that order, of which `stream.Loader` makes batches too.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from maskspace.data.batches import Turn
from maskspace.data.order import Epoch, Order
from maskspace.data.placement import place_masks, stretch
from maskspace.data.shards import open_shards
from maskspace.jpeg import decode_jpeg, upright_size_hw
from maskspace.masks import decode
from maskspace.types import Sample, read_rgb

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 20  # corrupt records in a row at one position
_ANOTHER = 31  # what a generator is for


@dataclass(frozen=True, eq=False)
class Dense:
    """The image of a sample and its masks in their order, those to ignore apart.

    `parents` holds the id of each mask's parent, 0 where it has none; masks of equal `layers` come
    from one person; `ignore` is the union of the masks whose pixels count neither for nor against
    anything.
    """

    image: UInt8[np.ndarray, "h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    ids: Int64[np.ndarray, " n"]
    parents: Int64[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    layers: Int64[np.ndarray, " n"]
    ignore: Bool[np.ndarray, "h w"]


def dense(sample: Sample) -> Dense:
    """Return a sample's arrays; ValueError that names its key where image and masks do not fit."""
    return _dense(sample, read_rgb)


def dense_reduced(sample: Sample, *, least_side: int) -> Dense:
    """Return a sample's arrays no larger than needed: JPEGs are decoded at eighths of their size.

    The smallest such size whose shorter side is at least `least_side` is taken, in a fraction of
    the time. What changes: the image is what libjpeg makes of the low frequencies, not what a
    resized one would be, and masks follow by nearest neighbour, so that small ones may be empty.
    Other formats and photos that EXIF turns come whole.
    """

    def read(encoded: bytes) -> UInt8[np.ndarray, "h w 3"]:
        is_upright = upright_size_hw(encoded) == sample.size_hw
        small = decode_jpeg(encoded, least_hw=(least_side, least_side)) if is_upright else None
        return read_rgb(encoded) if small is None else small

    return _dense(sample, read)


def _dense(sample: Sample, read: Callable[[bytes], UInt8[np.ndarray, "h w 3"]]) -> Dense:
    try:
        image = read(sample.image)
        masks = decode([annotation.counts for annotation in sample.annotations], sample.size_hw)
    except ValueError as error:
        raise ValueError(f"{sample.key}: {error}; make the sample again") from None
    stored_hw = upright_size_hw(sample.image) or image.shape[:2]
    if stored_hw != sample.size_hw:
        raise ValueError(
            f"{sample.key}: the image is {stored_hw}, its masks are {sample.size_hw} (h, w); "
            "make the sample again"
        )
    if image.shape[:2] != sample.size_hw:
        masks = place_masks(masks, stretch(sample.size_hw, image.shape[:2]))
    counted = np.array([not annotation.ignore for annotation in sample.annotations], bool)
    kept = [annotation for annotation in sample.annotations if not annotation.ignore]
    return Dense(
        image=image,
        masks=masks if counted.all() else masks[counted],
        ids=np.array([annotation.id for annotation in kept], np.int64),
        parents=np.array([annotation.parent or 0 for annotation in kept], np.int64),
        scores=np.array([annotation.score for annotation in kept], np.float32),
        layers=np.array([annotation.layer for annotation in kept], np.int64),
        ignore=np.logical_or.reduce(masks[~counted], axis=0),
    )


@dataclass(frozen=True)
class Mixture:
    """Several datasets, mixed by weight; their arrays are kept, up to a number of bytes.

    What is read at a position is a function of it and the seed alone, never of what was read before
    or of the number of workers.
    """

    datasets: Mapping[str, Sequence]  # of samples; a checked one would make beartype read some
    weights: Mapping[str, float]
    keep_bytes: int = 500_000_000
    corrupt_limit: int = 100
    _kept: dict[tuple[str, int], Dense] = field(default_factory=dict, repr=False)
    _sizes: list[int] = field(default_factory=list, repr=False)
    _orders: dict[int, Order] = field(default_factory=dict, repr=False)
    _epochs: dict[tuple[int, int], Epoch] = field(default_factory=dict, repr=False)
    _corrupt: set[tuple[str, int]] = field(default_factory=set, repr=False)

    def at(self, position: int, *, seed: int, attempt: int = 0) -> Dense:
        """Return the sample at a position of the endless order of passes over the datasets.

        A later `attempt` is another sample of the same dataset, for callers whom the first does not
        serve. A corrupt record is named in a warning and another one taken in its place; ValueError
        once 20 in a row are, or more than `corrupt_limit` in this process.
        """
        name, index = self._place(position, seed)
        size = len(self.datasets[name])
        for number in range(attempt, attempt + _ATTEMPTS):
            if number:
                other = np.random.default_rng((seed, _ANOTHER, position, number))
                index = int(other.integers(size))
            try:
                return self.get(name, index)
            except ValueError as error:
                self._name_corrupt(name, index, str(error))
        raise ValueError(f"{name}: {_ATTEMPTS} corrupt records in a row; validate the shards")

    def name_at(self, position: int, *, seed: int) -> str:
        """Return the name of the dataset of the sample at a position."""
        return self._place(position, seed)[0]

    def key_at(self, position: int, *, seed: int) -> str:
        """Return `DATASET/KEY` of the sample at a position: what to look for in the shards."""
        name, index = self._place(position, seed)
        return f"{name}/{self.datasets[name][index].key}"

    def _place(self, position: int, seed: int) -> tuple[str, int]:
        epoch, place = divmod(position, self._ordered(seed).length)
        dataset, index = self._epoch(seed, epoch)[place]
        return list(self.datasets)[dataset], index

    def _ordered(self, seed: int) -> Order:
        if seed not in self._orders:
            self._orders[seed] = self.order(seed=seed)
        return self._orders[seed]

    def _epoch(self, seed: int, number: int) -> Epoch:
        """Return an epoch; the last two asked for are kept, since batches straddle borders."""
        known = self._epochs
        if (seed, number) not in known:
            while len(known) > 1:
                known.pop(next(iter(known)))
            known[seed, number] = self._ordered(seed).epoch(number)
        return known[seed, number]

    def _name_corrupt(self, name: str, index: int, reason: str) -> None:
        if (name, index) not in self._corrupt:
            self._corrupt.add((name, index))
            _LOG.warning("skipped %s[%d]: %s", name, index, reason)
        if len(self._corrupt) > self.corrupt_limit:
            raise ValueError(
                f"{reason}; {len(self._corrupt)} corrupt records and the limit is "
                f"{self.corrupt_limit}: validate the shards"
            )

    def get(self, name: str, index: int) -> Dense:
        """Return the arrays of one sample of one dataset."""
        place = (name, index)
        if place not in self._kept:
            loaded = dense(self.datasets[name][index])
            size = loaded.image.nbytes + loaded.masks.nbytes
            if sum(self._sizes) + size > self.keep_bytes:
                return loaded
            self._kept[place] = loaded
            self._sizes.append(size)
        return self._kept[place]

    def order(self, *, seed: int, length: int | None = None) -> Order:
        """Return the order of passes over the datasets, each with its weight's share of an epoch.

        An epoch has `length` samples, by default as many as the datasets together.
        """
        sizes = tuple(len(dataset) for dataset in self.datasets.values())
        weights = tuple(float(self.weights[name]) for name in self.datasets)
        return Order(sizes=sizes, weights=weights, length=length or sum(sizes), seed=seed)


def load_dense(sample: Sample, turn: Turn) -> Dense:
    """Return a sample's arrays as they are: what a loader reads by default."""
    return dense(sample)


def open_mixture(root: Path, weights: Mapping[str, float], split: str) -> Mixture:
    """Return the mixture of the shard folders `root/NAME` whose weight is above 0.

    Datasets without a sample in this split are left out; ValueError if that leaves none.
    """
    opened = {n: open_shards(root / n, split) for n, weight in weights.items() if weight > 0}
    filled = {name: shards for name, shards in opened.items() if len(shards)}
    if not filled:
        raise ValueError(f"{root}: no {split} sample in any of {', '.join(weights)}")
    return Mixture(datasets=filled, weights=weights)
