"""Felzenszwalb and Huttenlocher's graph-based segmentation as proposals, and under a click.

Felzenszwalb and Huttenlocher 2004 (doi:10.1023/B:VISI.0000022288.19776.77), scikit-image's
implementation. As proposals it is run at several scales, and the regions of all of them are ranked
by area, largest first, for the method has no confidence, or by how many scales agree on a region; a
click gives its region at one scale. Regions are 8-connected, and of different scales they do not
nest.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64, UInt8
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from skimage.segmentation import felzenszwalb as segment

from maskspace.masks import encode, enlarge
from maskspace.partition.shrunk import Shrunk, Side, shrunk
from maskspace.peers.kinds import Peer
from maskspace.peers.rankings import RANKINGS
from maskspace.types import Click, ClickAnswer, Prediction, shrink_image

#: k of the partitions that are compared with people's.
SCALES = (25.0, 50.0, 100.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1200.0, 1600.0, 2400.0, 4800.0)


def felzenszwalb_proposals(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    limit: int = 100,
    scales: tuple[float, ...] = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0),
    sigma: NonNegativeFloat = 0.8,
    min_size: PositiveInt = 20,
    max_side: Side = 1024,
    ranking: Literal["area", "stability"] = "area",
) -> Prediction:
    """Return up to `limit` regions of all scales without duplicates, best first.

    `scales` are the paper's k for 8-bit intensities: larger means fewer regions; `sigma` is the
    smoothing and `min_size` the smallest region in pixels. Images longer than `max_side` pixels
    are segmented at that size. Scores are areas as fractions of the image, or for "stability" the
    share of the scales that give the region, ties to the larger one.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> felzenszwalb_proposals(halves, sigma=0.0, limit=2).masks.sum((1, 2)).tolist()
        [128, 128]
    """
    if limit < 1:
        raise ValueError(f"proposals: limit is at least 1; got {limit}")
    small = shrink_image(image, max_side=max_side)
    found: dict[bytes, Int64[np.ndarray, " p"]] = {}
    times: Counter[bytes] = Counter()
    for scale in scales:
        labels = _LAST.labels(small, scale, sigma, min_size)
        for pixels in _regions(labels):
            found.setdefault(pixels.tobytes(), pixels)
            times[pixels.tobytes()] += 1
    num_pixels = small.shape[0] * small.shape[1]
    scores = {key: len(pixels) / num_pixels for key, pixels in found.items()}
    if ranking == "stability":
        scores = {key: times[key] / len(scales) for key in found}
    best = sorted(found, key=lambda key: (scores[key], len(found[key])), reverse=True)[:limit]
    size_hw = (image.shape[0], image.shape[1])
    counts = [_counts(found[key], (small.shape[0], small.shape[1]), size_hw) for key in best]
    return Prediction.of_strings(
        counts, size_hw, np.array([scores[key] for key in best], np.float32)
    )


class _LastImage:
    """The partitions of the last image: proposals and scales ask for the same ones."""

    def __init__(self) -> None:
        self._known: tuple[bytes, dict[tuple[float, ...], Int32[np.ndarray, "r s"]]] = b"", {}

    def labels(
        self, image: UInt8[np.ndarray, "r s 3"], scale: float, sigma: float, min_size: int
    ) -> Int32[np.ndarray, "r s"]:
        """Return what `segment` gives, labels from 0."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16)
        digest.update(repr(image.shape).encode())
        known = self._known
        if known[0] != digest.digest():
            known = self._known = (digest.digest(), {})
        asked = (scale, sigma, float(min_size))
        if asked not in known[1]:
            found = segment(image, scale=scale, sigma=sigma, min_size=min_size)
            known[1][asked] = found.astype(np.int32)
        return known[1][asked]


_LAST = _LastImage()


def _counts(
    pixels: Int64[np.ndarray, " p"], small_hw: tuple[int, int], size_hw: tuple[int, int]
) -> str:
    """Return a region of the small image as run lengths at the image's size."""
    region = np.zeros(small_hw, bool)
    region.ravel()[pixels] = True
    return encode(enlarge(region, size_hw)[None])[0]


def felzenszwalb_scales(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    sigma: NonNegativeFloat = 0.8,
    min_size: PositiveInt = 20,
    max_side: Side = 1024,
) -> Iterator[Int32[np.ndarray, "h w"]]:
    """Yield the partition at each of `SCALES`, finest first, labels from 1.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> [int(labels.max()) for labels in felzenszwalb_scales(halves, sigma=0.0)][:3]
        [2, 2, 2]
    """
    small = shrink_image(image, max_side=max_side)
    for scale in SCALES:
        labels = _LAST.labels(small, scale, sigma, min_size)
        yield enlarge(labels + 1, (image.shape[0], image.shape[1]))


def felzenszwalb_regions(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    scale: PositiveFloat = 200.0,
    sigma: NonNegativeFloat = 0.8,
    min_size: PositiveInt = 20,
    max_side: Side = 1024,
) -> ClickAnswer:
    """Return what answers clicks: the regions under positive ones less those under negative ones.

    The options are those of `felzenszwalb_proposals`; the image is segmented once.

    Example:
        >>> from maskspace.types import Click
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> answer = felzenszwalb_regions(halves, sigma=0.0)
        >>> answer([Click(x=2, y=2)]).sum()
        np.int64(128)
    """
    small = shrunk(image, max_side=max_side)
    labels = segment(small.image, scale=scale, sigma=sigma, min_size=min_size)
    return partial(_regions_under, small, labels)


def _regions_under(
    small: Shrunk, labels: Int[np.ndarray, "r s"], clicks: Sequence[Click]
) -> Bool[np.ndarray, "h w"]:
    wanted, removed = (
        [labels[small.pixel_yx(click)] for click in clicks if click.positive == sign]
        for sign in (True, False)
    )
    return small.enlarge(np.isin(labels, np.setdiff1d(wanted, removed)))


def _regions(labels: Int[np.ndarray, "h w"]) -> Iterator[Int64[np.ndarray, " p"]]:
    """Yield the ascending flat pixel indices of each label, labels ascending."""
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(flat[order])) + 1)


FELZENSZWALB = Peer(
    propose=felzenszwalb_proposals,
    click=felzenszwalb_regions,
    scales=felzenszwalb_scales,
    ranking=RANKINGS["area"],
)
