"""Every record against all others: copies, leakage between splits, unusual sizes and numbers.

A record takes 62 bytes here and some 230 while it is compared: 2.5 GB for 11 million records, and
about a minute.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from maskspace.data.expectations.measures import Columns
from maskspace.data.expectations.similar import near_pairs
from maskspace.data.expectations.tables import Inspected
from maskspace.data.shards import SPLITS

#: Fewer records, or masks, than this have nothing usual about them.
_ENOUGH = 30
#: Mask sizes are counted in bins of 1/64 octave of their share of the image, down to 2**-40.
_BINS, _OCTAVES = 64, 40
#: A normal distribution's standard deviation over its median absolute deviation.
_NORMAL = 1.4826
#: The width of its middle 90 % in standard deviations.
_NORMAL_90 = 3.2897
#: The least spread, in octaves: where nearly all are equal, nearly equal is not unusual.
_LEAST_SPREAD = 0.1

_KEPT: Mapping[str, type] = {
    "key": np.uint64,
    "image": np.uint64,
    "look": np.uint64,
    "group": np.uint64,
    "masks": np.int32,
    "pixels": np.int64,
    "position": np.int32,
    "shard": np.int32,
    "split": np.uint8,
    "flat": np.bool_,
    "smallest": np.float32,
    "largest": np.float32,
}


class Index:
    """What is kept of every record that can be read, in the order of the shards."""

    def __init__(self, *, min_contrast: float) -> None:
        self._min_contrast = min_contrast
        self._pieces: list[Columns] = []
        self._sizes = np.zeros(_BINS * _OCTAVES + 1, np.int64)

    def add(self, found: Inspected) -> None:
        """Keep what is compared across parts."""
        images, masks = found.images, found.masks
        number = len(images["position"])
        pixels = images["height"] * images["width"]
        counted = ~masks["ignore"] & (masks["counted_area"] > 0)
        owner = masks["image"][counted]
        share = masks["counted_area"][counted] / pixels[owner]
        octaves = np.clip(-np.log2(share), 0, _OCTAVES)
        self._sizes += np.bincount((octaves * _BINS).astype(np.int64), minlength=len(self._sizes))
        most, least = np.full(number, np.nan), np.full(number, np.nan)
        np.fmax.at(most, owner, octaves)
        np.fmin.at(least, owner, octaves)
        piece = {
            **{name: images[name] for name in ("key", "image", "look", "group", "masks")},
            "position": images["position"],
            "pixels": pixels,
            "shard": np.full(number, found.part.shard),
            "split": np.full(number, SPLITS.index(found.part.split)),
            "flat": ~images["decodes"] | (images["contrast"] < self._min_contrast),
            "smallest": -most,
            "largest": -least,
        }
        self._pieces.append({name: piece[name].astype(kind) for name, kind in _KEPT.items()})

    def columns(self, *, near_bits: int) -> Columns:
        """Return the columns of the table `dataset`; a row that another is named in, by its row."""
        kept = {
            name: np.concatenate([np.zeros(0, kind), *(p[name] for p in self._pieces)])
            for name, kind in _KEPT.items()
        }
        self._pieces = [kept]
        split = kept["split"].astype(np.int64)
        image_later, image_split = _copies(kept["image"], split)
        looks = _near_copies(kept["look"], kept["flat"], split, near_bits=near_bits)
        exact = (image_later >= 0) | (image_split >= 0)
        near_later, near_split = (np.where(exact, -1, twin) for twin in looks)
        several = len(np.unique(kept["group"])) > 1
        group_later, _ = _copies(kept["group"], split)
        octaves = (np.arange(len(self._sizes)) + 0.5) / -_BINS
        return {
            "shard": kept["shard"],
            "position": kept["position"],
            "same_key": _copies(kept["key"], np.zeros(len(split), np.int64))[1],
            "image_in_later_split": image_later,
            "image_in_split": image_split,
            "near_in_later_split": near_later,
            "near_in_split": near_split,
            "group_in_later_split": np.where(several & (kept["group"] > 0), group_later, -1),
            "z_masks": _robust_z(np.log2(1.0 + kept["masks"])),
            "z_pixels": _robust_z(np.log2(kept["pixels"].astype(np.float64))),
            **{
                f"z_{end}": _weighted_z(kept[end].astype(np.float64), octaves, self._sizes)
                for end in ("smallest", "largest")
            },
        }


def _copies(
    values: UInt64[np.ndarray, " n"], split: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Return for each row one of equal value in a later split, and the first in its own, or -1.

    What is to be tested on stays: of train and test, the row of train is the one with a copy.
    """
    order = np.lexsort((np.arange(len(values)), -split, values))
    of_value = np.ones(len(values), bool)
    of_value[1:] = np.diff(values[order]) != 0
    of_both = of_value.copy()
    of_both[1:] |= np.diff(split[order]) != 0
    later, own = np.full(len(values), -1), np.full(len(values), -1)
    for found, new in ((later, of_value), (own, of_both)):
        found[order] = order[np.flatnonzero(new)][np.cumsum(new) - 1]
    later[split[later] == split] = -1
    own[own == np.arange(len(values))] = -1
    return later, own


def _near_copies(
    looks: UInt64[np.ndarray, " n"],
    flat: Bool[np.ndarray, " n"],
    split: Int64[np.ndarray, " n"],
    *,
    near_bits: int,
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Return as `_copies` does, for hashes that differ in at most `near_bits` bits.

    Images of one colour look like any other of one colour: they have no copies.
    """
    nowhere = np.iinfo(np.int64).max
    later, own = np.full(len(looks), -1), np.full(len(looks), -1)
    shaded = np.flatnonzero(~flat)
    distinct, of = np.unique(looks[shaded], return_inverse=True)
    pairs = near_pairs(distinct, distance=near_bits)
    for number in range(len(SPLITS)):
        here = split[shaded] == number
        first = np.full(len(distinct), nowhere)
        np.minimum.at(first, of[here], shaded[here])
        near = first.copy()
        for a, b in (pairs, pairs[::-1]):
            np.minimum.at(near, a, first[b])
        twin = near[of]
        found = here & (twin < shaded)
        own[shaded[found]] = twin[found]
        found = (split[shaded] < number) & (twin < nowhere)
        later[shaded[found]] = twin[found]
    return later, own


def _robust_z(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return how many spreads each value is from the median (B. Iglewicz, D. Hoaglin, 1993).

    The spread is that of the median absolute deviation or of the middle 90 %, if that is more: of
    sizes that are nearly all the same, the others are not all unusual.
    """
    return _weighted_z(values, values, np.ones(len(values), np.int64))


def _weighted_z(
    values: Float64[np.ndarray, " n"],
    points: Float64[np.ndarray, " b"],
    weights: Int64[np.ndarray, " b"],
) -> Float64[np.ndarray, " n"]:
    """Return as `_robust_z` does, against weighted points; 0 for a value that is missing."""
    if weights.sum() < _ENOUGH:
        return np.zeros(len(values))
    low, middle, high = _quantiles(points, weights, (0.05, 0.5, 0.95))
    (deviation,) = _quantiles(np.abs(points - middle), weights, (0.5,))
    spread = max(_NORMAL * deviation, (high - low) / _NORMAL_90, _LEAST_SPREAD)
    return np.nan_to_num((values - middle) / spread)


def _quantiles(
    points: Float64[np.ndarray, " b"], weights: Int64[np.ndarray, " b"], shares: Sequence[float]
) -> list[float]:
    order = np.argsort(points)
    total = np.cumsum(weights[order])
    places = np.searchsorted(total, np.array(shares) * total[-1])
    return points[order][places].tolist()
