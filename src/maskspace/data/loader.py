"""A sample as arrays, and weighted mixtures of datasets: what training and evaluation read.

A mixture is read in one of two ways, both a function of seeds and positions alone. `draw` takes any
sample, each as likely, whatever came before: for sets that are seen many times and fit in memory,
where a step's batch is drawn from its number. `order` goes through the samples in passes, block by
block, and `stream.Loader` makes batches of it: for sets that are seen about once, as SA-1B is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from maskspace.data.batches import Turn
from maskspace.data.order import Order
from maskspace.data.placement import place_masks, stretch
from maskspace.data.shards import open_shards
from maskspace.jpeg import decode_jpeg, upright_size_hw
from maskspace.masks import decode
from maskspace.types import Sample, read_rgb


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
    """Several datasets, drawn from by weight; their arrays are kept, up to a number of bytes.

    What is drawn is a function of the generator alone, never of what was drawn before or of the
    number of workers.
    """

    datasets: Mapping[str, Sequence]  # of samples; a checked one would make beartype read some
    weights: Mapping[str, float]
    keep_bytes: int = 500_000_000
    _kept: dict[tuple[str, int], Dense] = field(default_factory=dict, repr=False)
    _sizes: list[int] = field(default_factory=list, repr=False)

    def draw(self, generator: np.random.Generator) -> Dense:
        """Return a sample: first a dataset by weight, then one of its samples, each as likely."""
        weights = np.array([self.weights[name] for name in self.datasets])
        names = list(self.datasets)
        name = names[int(generator.choice(len(names), p=weights / weights.sum()))]
        return self.get(name, int(generator.integers(len(self.datasets[name]))))

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
