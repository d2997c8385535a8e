"""Correlation of two per-image measures: Pearson's, and Spearman's with average ranks for ties."""

import numpy as np
from jaxtyping import Float64


def pearson(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float | None:
    """Return the linear correlation in [-1, 1]; None where one of the two does not vary.

    Example:
        >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
        1.0
        >>> pearson(np.array([1.0, 2.0]), np.array([5.0, 5.0])) is None
        True
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    x, y = (values - values.mean() for values in (first, second))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def spearman(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float | None:
    """Return the correlation of the ranks in [-1, 1]; None where one of the two does not vary.

    Example:
        >>> round(spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 27.0])), 6)
        1.0
    """
    return pearson(_ranks(first), _ranks(second))


def _ranks(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(size) - (size - 1) / 2)[group]
