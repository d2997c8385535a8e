"""The number of positions that runs of some masks share with runs of others.

Input: runs of proposals and of truths, as positions along one scan of the image.
Idea: sort the borders of all truths. Between two borders the same truths hold every position.
Steps: note for each border which truths hold the positions behind it (`note_members`). A
    proposal's run counts in full for the truths in which it starts. Each border that it crosses
    adds the rest of the run to a truth, or takes it away (`add_overlaps`).
Cost: runs of truths times the number of truths that lie over each other, plus the borders that
    proposals cross.
"""

import numpy as np
from jaxtyping import Int32, Int64

from maskspace.kernels.compiled import compiled


@compiled
def note_members(
    mask: Int64[np.ndarray, " r"],
    first: Int64[np.ndarray, " r"],
    end: Int64[np.ndarray, " r"],
    firsts: Int64[np.ndarray, " i"],
    member: Int32[np.ndarray, " k"],
) -> None:
    """Write the masks that hold the position behind i borders: `member[firsts[i]:firsts[i + 1]]`.

    Example:
        >>> firsts, member = np.zeros(5, np.int64), np.zeros(2, np.int32)
        >>> note_members(np.array([0, 1]), np.array([1, 1]), np.array([2, 2]), firsts, member)
        >>> member[firsts[1] : firsts[2]].tolist()  # behind one border both masks hold the position
        [0, 1]
    """
    for run in range(len(mask)):
        for passed in range(first[run], end[run]):
            firsts[passed + 2] += 1
    for passed in range(len(firsts) - 1):
        firsts[passed + 1] += firsts[passed]
    for run in range(len(mask)):
        for passed in range(first[run], end[run]):
            member[firsts[passed + 1]] = mask[run]
            firsts[passed + 1] += 1


@compiled
def add_overlaps(
    mask: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    end: Int64[np.ndarray, " r"],
    passed: Int64[np.ndarray, " r"],
    changes: Int64[np.ndarray, "e 3"],
    firsts: Int64[np.ndarray, " i"],
    member: Int32[np.ndarray, " k"],
    shared: Int64[np.ndarray, "n m"],
) -> None:
    """Add what runs share with truths: all with those they start in, corrected at each border.

    Example:
        >>> shared, zero = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
        >>> changes = np.array([[2, 0, 1], [5, 0, -1]])  # truth 0 covers positions 2 to 4
        >>> firsts, member = np.array([0, 0, 1, 1]), np.zeros(1, np.int32)
        >>> add_overlaps(zero, zero, np.array([4]), zero, changes, firsts, member, shared)
        >>> shared.tolist()  # positions 0 to 3 share 2 and 3
        [[2]]
    """
    for run in range(len(mask)):
        row, change, stop = shared[mask[run]], passed[run], end[run]
        for place in range(firsts[change], firsts[change + 1]):
            row[member[place]] += stop - start[run]
        while change < len(changes) and changes[change, 0] < stop:
            row[changes[change, 1]] += changes[change, 2] * (stop - changes[change, 0])
            change += 1
