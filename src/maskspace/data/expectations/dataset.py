"""Compare every record with all others: copies, leakage between splits, unusual sizes and numbers.

Input: the inspected parts of all shards, one after the other.
Idea: keep a few numbers of each record, among them 64-bit hashes of its key, image and look.
Steps: sort the hashes, so that equal ones are neighbours (`_copies`); find hashes that differ in a
    few bits (`_near_copies`); compare sizes and numbers with their medians (`_robust_z`).
Cost: a record takes 62 bytes, and some 230 while records are compared: 2.5 GB and about a minute
    for 11 million records.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from maskspace.data.expectations.measures import Columns
from maskspace.data.expectations.similar import near_pairs
from maskspace.data.expectations.tables import Inspected
from maskspace.data.shards import SPLITS

#: With fewer records, or masks, than this none is called unusual.
_ENOUGH = 30
#: Mask sizes are counted in bins of 1/64 octave of their share of the image, down to 2**-40.
_BINS, _OCTAVES = 64, 40
#: A normal distribution's standard deviation over its median absolute deviation.
_NORMAL = 1.4826
#: The width of the middle 90 % of a normal distribution, in standard deviations.
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
    """A few numbers of every record that can be read, in the order of the shards.

    Call `add` for every inspected part, then `columns` once.

    Args:
        min_contrast: an image whose thumbnail has a lower standard deviation of its grey levels
            (0 to 255) counts as one of one colour; it has no near copies.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.expectations.tables import Part, inspect
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_shard
        >>> index, samples = Index(min_contrast=1.0), read_rectangles("", seed=0, limit=2)
        >>> for shard, split in enumerate(("train", "test")):  # the same two images in both splits
        ...     path = Path(tempfile.mkdtemp(), f"{split}-000000.tar")
        ...     _ = write_shard(path, samples)
        ...     part = Part(shard=shard, path=path, split=split, first=0, last=-1)
        ...     options = {"kind": "toy", "datasets": ("toy",), "near_iou": 0.9}
        ...     index.add(inspect(part, images=None, max_bytes=2**20, **options))
        >>> index.columns(near_bits=4)["image_in_later_split"].tolist()  # rows 2 and 3 are of test
        [2, 3, -1, -1]
    """

    def __init__(self, *, min_contrast: float) -> None:
        self._min_contrast = min_contrast
        self._pieces: list[Columns] = []
        self._sizes = np.zeros(_BINS * _OCTAVES + 1, np.int64)

    def add(self, inspected: Inspected) -> None:
        """Keep the numbers of the records of one part."""
        images, masks = inspected.images, inspected.masks
        number = len(images["position"])
        pixels = images["height"] * images["width"]
        is_counted = ~masks["ignore"] & (masks["counted_area"] > 0)
        owner = masks["image"][is_counted]
        share = masks["counted_area"][is_counted] / pixels[owner]
        octaves = np.clip(-np.log2(share), 0, _OCTAVES)
        self._sizes += np.bincount((octaves * _BINS).astype(np.int64), minlength=len(self._sizes))
        most_octaves = np.full(number, np.nan)
        least_octaves = most_octaves.copy()
        np.fmax.at(most_octaves, owner, octaves)
        np.fmin.at(least_octaves, owner, octaves)
        piece = {
            **{name: images[name] for name in ("key", "image", "look", "group", "masks")},
            "position": images["position"],
            "pixels": pixels,
            "shard": np.full(number, inspected.part.shard),
            "split": np.full(number, SPLITS.index(inspected.part.split)),
            "flat": ~images["decodes"] | (images["contrast"] < self._min_contrast),
            "smallest": -most_octaves,
            "largest": -least_octaves,
        }
        self._pieces.append({name: piece[name].astype(kind) for name, kind in _KEPT.items()})

    def columns(self, *, near_bits: int) -> Columns:
        """Return the columns of the table `dataset`, a row a record.

        Columns that name another record hold its row, or -1 for none. Columns `z_*` hold robust
        z-scores.

        Args:
            near_bits: hashes of near copies differ in at most so many bits.
        """
        kept = {
            name: np.concatenate([np.zeros(0, kind), *(p[name] for p in self._pieces)])
            for name, kind in _KEPT.items()
        }
        self._pieces = [kept]
        split = kept["split"].astype(np.int64)
        image_later, image_split = _copies(kept["image"], split)
        looks = _near_copies(kept["look"], kept["flat"], split, near_bits=near_bits)
        has_copy = (image_later >= 0) | (image_split >= 0)
        near_later, near_split = (np.where(has_copy, -1, twin) for twin in looks)
        has_groups = len(np.unique(kept["group"])) > 1
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
            "group_in_later_split": np.where(has_groups & (kept["group"] > 0), group_later, -1),
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

    A row of train that has a copy in test is the one that is reported: what is tested on stays.

    Input: a value and the number of a split for each of n rows.
    Idea: sorted by value, the latest split first, then by row, the first row of a run of equal
        values is the one in the latest split; the first of a run of equal value and split is the
        first of that split.
    Steps: sort; mark where the two kinds of runs begin; give every row the first of its run;
        replace rows that name their own split, or themselves, by -1.
    Cost: one sort of n rows.
    """
    order = np.lexsort((np.arange(len(values)), -split, values))
    starts_value = np.ones(len(values), bool)
    starts_value[1:] = np.diff(values[order]) != 0
    starts_value_and_split = starts_value.copy()
    starts_value_and_split[1:] |= np.diff(split[order]) != 0
    later, same_split = np.full(len(values), -1), np.full(len(values), -1)
    for first_rows, starts in ((later, starts_value), (same_split, starts_value_and_split)):
        first_rows[order] = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    later[split[later] == split] = -1
    same_split[same_split == np.arange(len(values))] = -1
    return later, same_split


def _near_copies(
    looks: UInt64[np.ndarray, " n"],
    flat: Bool[np.ndarray, " n"],
    split: Int64[np.ndarray, " n"],
    *,
    near_bits: int,
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Return as `_copies` does, for hashes that differ in at most `near_bits` bits.

    Images of one colour have no copies: each looks like any other of one colour.

    Input: a hash and the number of a split for each of n rows; whether its image is of one colour.
    Idea: compare distinct hashes only, and keep of each the first row of a split.
    Steps: find the pairs of near hashes; for each split, give a hash the lowest row of the split
        that it or a near hash has; rows later in the split, and rows of earlier splits, name it.
    Cost: that of `near_pairs`, and for each split a few passes over the rows and the pairs.
    """
    no_row = np.iinfo(np.int64).max
    later, same_split = np.full(len(looks), -1), np.full(len(looks), -1)
    shaded = np.flatnonzero(~flat)
    distinct, hash_of_row = np.unique(looks[shaded], return_inverse=True)
    pairs = near_pairs(distinct, distance=near_bits)
    for number in range(len(SPLITS)):
        is_in_split = split[shaded] == number
        first_row = np.full(len(distinct), no_row)
        np.minimum.at(first_row, hash_of_row[is_in_split], shaded[is_in_split])
        near_row = first_row.copy()
        for one, other in (pairs, pairs[::-1]):
            np.minimum.at(near_row, one, first_row[other])
        twin = near_row[hash_of_row]
        has_twin = is_in_split & (twin < shaded)
        same_split[shaded[has_twin]] = twin[has_twin]
        has_twin = (split[shaded] < number) & (twin < no_row)
        later[shaded[has_twin]] = twin[has_twin]
    return later, same_split


def _robust_z(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return how many spreads each value is from the median (B. Iglewicz, D. Hoaglin, 1993).

    The spread is that of the median absolute deviation or that of the middle 90 %, whichever is
    larger. With the first alone, where nearly all sizes are equal, all others would be unusual.
    """
    return _weighted_z(values, values, np.ones(len(values), np.int64))


def _weighted_z(
    values: Float64[np.ndarray, " n"],
    points: Float64[np.ndarray, " b"],
    weights: Int64[np.ndarray, " b"],
) -> Float64[np.ndarray, " n"]:
    """Return `_robust_z` of values against weighted points; 0 for a value that is missing (NaN)."""
    if weights.sum() < _ENOUGH:
        return np.zeros(len(values))
    low, middle, high = _quantiles(points, weights, (0.05, 0.5, 0.95))
    (deviation,) = _quantiles(np.abs(points - middle), weights, (0.5,))
    spread = max(_NORMAL * deviation, (high - low) / _NORMAL_90, _LEAST_SPREAD)
    return np.nan_to_num((values - middle) / spread)


def _quantiles(
    points: Float64[np.ndarray, " b"], weights: Int64[np.ndarray, " b"], shares: Sequence[float]
) -> list[float]:
    """Return the quantiles of weighted points at some shares in [0, 1]."""
    order = np.argsort(points)
    running_weight = np.cumsum(weights[order])
    places = np.searchsorted(running_weight, np.array(shares) * running_weight[-1])
    return points[order][places].tolist()
