"""The cycles of a permutation, one after the other.

Input: what follows each place. Idea: walk on until the cycle closes, then begin anew at the lowest
place that has not been seen. Cost: O(n).
"""

import numpy as np
from jaxtyping import Int64

from maskspace.kernels.compiled import compiled


@compiled
def cycles(
    following: Int64[np.ndarray, " n"],
    order: Int64[np.ndarray, " n"],
    cycle: Int64[np.ndarray, " n"],
) -> int:
    """Write the places cycle by cycle, and the cycle of each place; return how many there are.

    A cycle begins at its lowest place, and cycles come in the order of these.

    Example:
        >>> order, cycle = np.empty(4, np.int64), np.empty(4, np.int64)
        >>> cycles(np.array([2, 1, 3, 0]), order, cycle)
        2
        >>> order.tolist(), cycle.tolist()
        ([0, 2, 3, 1], [0, 1, 0, 0])
    """
    cycle[:] = -1
    number = written = 0
    for first in range(len(following)):
        if cycle[first] >= 0:
            continue
        place = first
        while cycle[place] < 0:
            cycle[place] = number
            order[written] = place
            written += 1
            place = following[place]
        number += 1
    return number
