"""Variation of information: the distance of two partitions as random variables.

M. Meilă, Comparing clusterings: an information based distance, 2007,
doi:10.1016/j.jmva.2006.11.013.
"""

import math

import numpy as np
from jaxtyping import Int

from maskspace.metrics.contingency import Contingency, contingency


def variation_of_information(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]
) -> float:
    """Return H(predicted | true) + H(true | predicted), in nats: 0 for equal partitions.

    Divide by ln 2 to get the bits of the BSDS500 tables. Pixels without a true label (0) are not
    counted.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> variation_of_information(halves, halves)
        0.0
        >>> whole = np.ones((1, 4), int)
        >>> round(variation_of_information(whole, halves) / math.log(2), 6)  # one bit
        1.0
    """
    return sum(conditional_entropies(predicted, true))


def conditional_entropies(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]
) -> tuple[float, float]:
    """Return H(predicted | true) and H(true | predicted), in nats.

    The first grows with over-segmentation, the second with under-segmentation.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> over, under = conditional_entropies(np.array([[1, 2, 3, 4]]), halves)
        >>> round(over / math.log(2), 6), under  # every region is in halves: one bit too much
        (1.0, 0.0)
    """
    return entropies_of(contingency(predicted, true))


def entropies_of(table: Contingency) -> tuple[float, float]:
    """Return the conditional entropies, in nats, of the two partitions of a table.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> sum(entropies_of(contingency(halves, halves)))
        0.0
    """
    inside_true = table.true_areas[table.true] / table.shared
    inside_predicted = table.predicted_areas[table.predicted] / table.shared
    over, under = (
        math.fsum(table.shared * np.log(ratio)) / table.pixels
        for ratio in (inside_true, inside_predicted)
    )
    return over, under
