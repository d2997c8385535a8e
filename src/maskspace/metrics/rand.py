"""Rand index of two partitions, and its mean over annotators.

W. M. Rand, Objective criteria for the evaluation of clustering methods, 1971,
doi:10.1080/01621459.1971.10482356; probabilistic Rand index: R. Unnikrishnan, C. Pantofaru,
M. Hebert, 2007, doi:10.1109/TPAMI.2007.1046, in the form of the BSDS500 benchmark.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from maskspace.metrics.contingency import Contingency, contingency


def rand_index(predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]) -> float:
    """Return the share in [0, 1] of pixel pairs on which the two partitions agree.

    They agree on a pair if both have it in one region, or both in two. Pixels without a true label
    (0) are not counted. A single pixel gives 1.

    Example:
        >>> rand_index(np.array([[1, 1, 2]]), np.array([[5, 5, 6]]))
        1.0
        >>> round(rand_index(np.array([[1, 1, 1]]), np.array([[1, 1, 2]])), 3)  # 1 pair of 3
        0.333
    """
    return rand_of(contingency(predicted, true))


def rand_of(table: Contingency) -> float:
    """Return the Rand index of the two partitions of a table.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> rand_of(contingency(halves, halves))
        1.0
    """
    in_both, in_predicted, in_true, pairs = (
        _pairs(counts)
        for counts in (
            table.shared,
            table.predicted_areas,
            table.true_areas,
            np.array([table.pixels]),
        )
    )
    return (pairs - in_predicted - in_true + 2 * in_both) / pairs if pairs else 1.0


def probabilistic_rand_index(
    predicted: Int[np.ndarray, "h w"], true: Sequence[Int[np.ndarray, "h w"]]
) -> float:
    """Return the mean Rand index against the label maps of several annotators, in [0, 1].

    Raises ValueError without a true map.

    Example:
        >>> halves, whole = np.array([[1, 1, 2, 2]]), np.ones((1, 4), int)
        >>> round(probabilistic_rand_index(halves, [halves, whole]), 3)
        0.667
    """
    if not true:
        raise ValueError("no true label map given; the mean over annotators needs one or more")
    return sum(rand_index(predicted, one) for one in true) / len(true)


def _pairs(counts: Int[np.ndarray, " n"]) -> int:
    """Return the number of unordered pairs inside groups of these sizes; exact to 2**31 pixels."""
    return int((counts * (counts - 1) // 2).sum())
