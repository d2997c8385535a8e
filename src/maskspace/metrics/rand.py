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
    """Return the share in [0, 1] of pixel pairs on which both say together, or both say apart.

    Pixels that the truth leaves unlabelled (0) are not counted. One single pixel gives 1.
    """
    return rand_of(contingency(predicted, true))


def rand_of(table: Contingency) -> float:
    """Return the Rand index of the two partitions that a table is of."""
    together, in_predicted, in_true, pairs = (
        _pairs(counts)
        for counts in (
            table.shared,
            table.predicted_areas,
            table.true_areas,
            np.array([table.pixels]),
        )
    )
    return (pairs - in_predicted - in_true + 2 * together) / pairs if pairs else 1.0


def probabilistic_rand_index(
    predicted: Int[np.ndarray, "h w"], true: Sequence[Int[np.ndarray, "h w"]]
) -> float:
    """Return the mean Rand index against the label maps of several annotators, in [0, 1]."""
    if not true:
        raise ValueError("no true label map given; the mean over annotators needs one or more")
    return sum(rand_index(predicted, one) for one in true) / len(true)


def _pairs(counts: Int[np.ndarray, " n"]) -> int:
    """Return the number of unordered pairs inside groups of these sizes; exact to 2**31 pixels."""
    return int((counts * (counts - 1) // 2).sum())
