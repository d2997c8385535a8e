"""Copies among many records: a perceptual hash of images, and near pairs of hashes.

The hash is the sign pattern of the low frequencies of a thumbnail, compared with their median
(C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010: pHash).
Near pairs are found by tables of bands (G. Manku, A. Jain, A. Das Sarma, "Detecting
near-duplicates for web crawling", 2007): time and memory grow as the number of hashes, not as its
square.
"""

from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Float, Float64, Int64, UInt64
from PIL import Image
from scipy.fft import dct

#: Side of the thumbnail that is hashed, in pixels.
THUMBNAIL = 32
#: Hashes that differ in at most `distance` bits agree on at least three of `distance + 3` bands.
_SHARED_BANDS = 3
#: Hashes of one bucket that each is compared with, so that a large bucket takes linear time.
_NEIGHBOURS = 512
_BASIS = np.asarray(dct(np.eye(THUMBNAIL), axis=0, norm="ortho"))[1:9]


def thumbnail(image: Image.Image) -> Float64[np.ndarray, "32 32"]:
    """Return the luminance of an image, 0 to 255, averaged over the cells of a 32 x 32 grid.

    Example:
        >>> thumbnail(Image.new("RGB", (64, 48), "red")).shape
        (32, 32)
    """
    grey = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(grey, np.float64)


def perceptual_hashes(thumbnails: Float[np.ndarray, "n 32 32"]) -> UInt64[np.ndarray, " n"]:
    """Return 64 bits for each image: which of its 8 x 8 lowest frequencies are above their median.

    The constant rows and columns of the transform are left out, so that brightness and contrast
    change no bit. The hash of an image of one colour is noise: look at its contrast first.

    Example:
        >>> thumbnails = np.random.default_rng(0).uniform(0, 1, (1, 32, 32)).repeat(2, axis=0)
        >>> hashes = perceptual_hashes(thumbnails)
        >>> bool(hashes[0] == hashes[1])  # equal images have equal hashes
        True
    """
    low = (_BASIS @ thumbnails @ _BASIS.T).reshape(len(thumbnails), 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(len(thumbnails))


def near_pairs(
    hashes: UInt64[np.ndarray, " n"], *, distance: int
) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
    """Return the index pairs, first < second, of distinct hashes that differ in few bits.

    Input: n distinct hashes of 64 bits.
    Idea: cut the bits into `distance` + 3 bands; two near hashes agree on at least three of them.
    Steps: for each choice of three bands sort the hashes by these bits; compare each with those
        that follow it and agree on all three; join the pairs of all choices.
    Cost: a sort of n hashes, and at most 512 n comparisons, for each choice.

    Where more than 512 hashes agree on three bands, each is compared with the next 512 only, and
    pairs further apart may be missed.

    Args:
        hashes: 64 bits each, all different.
        distance: the largest number of bits that differ, >= 0; 0 finds nothing, as hashes are
            distinct.

    Example:
        >>> hashes = np.array([0, 1, 255], np.uint64)
        >>> [pairs.tolist() for pairs in near_pairs(hashes, distance=1)]
        [[0], [1]]
    """
    pairs = [np.zeros((2, 0), np.int64)]
    bands = _bands(distance + _SHARED_BANDS) if distance else []
    for chosen in combinations(bands, _SHARED_BANDS):
        pairs.append(_pairs_in_table(hashes, np.bitwise_or.reduce(np.array(chosen)), distance))
    first, second = np.unique(np.sort(np.concatenate(pairs, axis=1), axis=0), axis=1)
    return first, second


def _bands(number: int) -> list[np.uint64]:
    """Return masks that divide 64 bits in `number` bands of nearly equal width."""
    ends = np.linspace(0, 64, number + 1).astype(int).tolist()
    return [np.uint64((1 << end) - (1 << start)) for start, end in pairwise(ends)]


def _pairs_in_table(
    hashes: UInt64[np.ndarray, " n"], bits: np.uint64, distance: int
) -> Int64[np.ndarray, "2 p"]:
    """Return the near pairs among the hashes that agree on all `bits`."""
    key = hashes & bits
    order = np.argsort(key)
    key, ordered = key[order], hashes[order]
    pairs = [np.zeros((2, 0), np.int64)]
    rows = np.arange(len(order))
    for step in range(1, _NEIGHBOURS + 1):
        rows = rows[: np.searchsorted(rows, len(order) - step)]
        rows = rows[key[rows] == key[rows + step]]
        if not len(rows):
            break
        near = rows[np.bitwise_count(ordered[rows] ^ ordered[rows + step]) <= distance]
        pairs.append(np.stack([order[near], order[near + step]]))
    return np.concatenate(pairs, axis=1)
