"""Intervals of means over masks, and of differences of two methods, by resampling images.

B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13 (percentile
intervals). A resample draws images, not masks: masks of one image are not independent, and
intervals that ignore this are too narrow. A comparison of two methods uses the same images for
both in every resample. So an image that is hard for both methods does not widen the interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

_AT_ONCE = 2**21  # drawn images that are in memory at a time

#: The weight of each of n images, usually its number of masks.
Weights = Int64[np.ndarray, " _"] | Float64[np.ndarray, " _"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Means of k measures and the bounds of their confidence intervals.

    Example:
        >>> Interval(value=np.array([0.5]), low=np.array([0.4]), high=np.array([0.6])).high.item()
        0.6
    """

    value: Float64[np.ndarray, " k"]
    low: Float64[np.ndarray, " k"]
    high: Float64[np.ndarray, " k"]


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """Means of the first method less those of the second, with intervals and p-values.

    `p_value` is two-sided, for the hypothesis that the difference is 0. Every interval with a
    confidence above 1 - p_value contains 0. The smallest possible value is 2 / (resamples + 1).

    Example:
        >>> first, second = np.array([[0.6], [0.8]]), np.array([[0.5], [0.7]])
        >>> gain = paired_difference(first, second, np.ones(2), generator=np.random.default_rng(0))
        >>> bool(gain.low > 0)  # the first method is better on both images
        True
    """

    p_value: Float64[np.ndarray, " k"]


def confidence_interval(
    sums: Float64[np.ndarray, "n k"],
    counts: Weights,
    *,
    generator: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Return the mean over all masks of k measures, with percentile intervals over images.

    Image i has `counts[i]` masks, and `sums[i]` is the sum of their measures. With counts of 1 the
    result is the mean over images. Images without masks are left out. Raises ValueError if fewer
    than two images are left.

    Args:
        sums: n images, k measures; finite.
        counts: number of masks of each image, >= 0.
        generator: source of the resamples; the same seed gives the same interval.
        resamples: number of resamples (default 2000).
        confidence: share of resamples inside the interval, in (0, 1) (default 0.95).

    Example:
        >>> ious = np.array([[0.5], [0.7], [0.9]])  # one mask in each of three images
        >>> one = np.ones(3, np.int64)
        >>> interval = confidence_interval(ious, one, generator=np.random.default_rng(0))
        >>> interval.value.round(6).tolist()
        [0.7]
        >>> bool(interval.low <= interval.value <= interval.high)
        True
    """
    sums, counts = _with_masks(sums, counts)
    means = _means(sums, counts, resamples=resamples, generator=generator)
    return interval_of(sums.sum(axis=0) / counts.sum(), means, confidence=confidence)


def paired_difference(
    first: Float64[np.ndarray, "n k"],
    second: Float64[np.ndarray, "n k"],
    counts: Weights,
    *,
    generator: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Difference:
    """Return the means of the first method minus those of the second, on the same images.

    Args:
        first: sums of the first method's measures for each image, as in `confidence_interval`.
        second: sums of the second method's measures.
        counts: number of masks of each image, >= 0.
        generator: source of the resamples; the same seed gives the same interval.
        resamples: number of resamples (default 2000).
        confidence: share of resamples inside the interval, in (0, 1) (default 0.95).

    Raises ValueError if fewer than two images have masks.

    Example:
        >>> first, second = np.array([[0.6], [0.8]]), np.array([[0.5], [0.7]])
        >>> gain = paired_difference(first, second, np.ones(2), generator=np.random.default_rng(0))
        >>> gain.value.round(6).tolist()
        [0.1]
    """
    sums, counts = _with_masks(first - second, counts)
    means = _means(sums, counts, resamples=resamples, generator=generator)
    return difference_of(sums.sum(axis=0) / counts.sum(), means, confidence=confidence)


def interval_of(
    value: Float64[np.ndarray, " k"],
    resampled: Float64[np.ndarray, "r k"],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the percentile intervals of k numbers, given their values in each resample.

    Args:
        value: the k numbers.
        resampled: their values, a row a resample.
        confidence: share of resamples inside the interval, in (0, 1) (default 0.95).

    Example:
        >>> interval_of(np.array([0.5]), np.linspace(0, 1, 41)[:, None]).low.round(3).tolist()
        [0.025]
    """
    low, high = _bounds(resampled, confidence)
    return Interval(value=value, low=low, high=high)


def difference_of(
    value: Float64[np.ndarray, " k"],
    resampled: Float64[np.ndarray, "r k"],
    *,
    confidence: float = 0.95,
) -> Difference:
    """Return k differences with intervals and p-values, given their values in each resample.

    Args:
        value: the k differences.
        resampled: their values, a row a resample.
        confidence: share of resamples inside the interval, in (0, 1) (default 0.95).

    Example:
        >>> difference_of(np.array([0.5]), np.full((19, 1), 0.5)).p_value.tolist()
        [0.1]
    """
    low, high = _bounds(resampled, confidence)
    tail = np.minimum((resampled <= 0).sum(axis=0), (resampled >= 0).sum(axis=0))
    p_value = np.minimum(1.0, 2 * (tail + 1) / (len(resampled) + 1))
    return Difference(value=value, low=low, high=high, p_value=p_value)


def drawn_images(
    images: int, *, generator: np.random.Generator, resamples: int = 2000
) -> Iterator[Float64[np.ndarray, "r n"]]:
    """Yield how often each resample holds each of n images, some resamples at a time.

    Args:
        images: number n of images, >= 1.
        generator: source of the resamples.
        resamples: number of resamples, >= 1 (default 2000).

    Example:
        >>> [times] = drawn_images(3, generator=np.random.default_rng(0), resamples=2)
        >>> times.sum(axis=1).tolist()  # as many as there are
        [3.0, 3.0]
    """
    if resamples < 1:
        raise ValueError(f"the number of resamples is at least 1; got {resamples}")
    step = max(1, _AT_ONCE // images)
    for begin in range(0, resamples, step):
        rows = min(step, resamples - begin)
        index = generator.integers(images, size=(rows, images))
        index += np.arange(rows)[:, None] * images
        times = np.bincount(index.ravel(), minlength=rows * images)
        yield times.reshape(rows, images).astype(np.float64)


def _with_masks(
    sums: Float64[np.ndarray, "n k"], counts: Weights
) -> tuple[Float64[np.ndarray, "m k"], Weights]:
    if (counts < 0).any() or not np.isfinite(sums).all():
        raise ValueError("counts below 0, or sums that are not finite: leave such images out")
    has_masks = counts > 0
    if has_masks.sum() < 2:
        raise ValueError(f"{has_masks.sum()} images have masks; an interval over images needs two")
    return sums[has_masks], counts[has_masks]


def _means(
    sums: Float64[np.ndarray, "n k"],
    counts: Weights,
    *,
    resamples: int,
    generator: np.random.Generator,
) -> Float64[np.ndarray, "r k"]:
    """Return the means of each resample: as many images, drawn with replacement."""
    return np.concatenate(
        [
            (times @ sums) / (times @ counts)[:, None]
            for times in drawn_images(len(counts), generator=generator, resamples=resamples)
        ]
    )


def _bounds(
    means: Float64[np.ndarray, "r k"], confidence: float
) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1; got {confidence}")
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high
