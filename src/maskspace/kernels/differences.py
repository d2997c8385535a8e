"""The places where two arrays of bytes differ: the borders of a mask, from it and itself moved.

Input: two arrays of bytes of one length.
Idea: most of a mask is like its neighbour, so that whole blocks are compared first.
Steps: compare a block; only in one that differs, compare its bytes and write down the places.
Cost: linear in the bytes, with vector instructions where nothing differs.
"""

import numpy as np
from jaxtyping import Int64, UInt8

from maskspace.kernels.compiled import compiled

_BLOCK = 128  # bytes that are compared in one go


@compiled
def differences(
    one: UInt8[np.ndarray, " p"], other: UInt8[np.ndarray, " p"], found: Int64[np.ndarray, " q"]
) -> int:
    """Write down the places where two arrays differ and return how many there are.

    Example:
        >>> mask = np.array([0, 0, 1, 1, 0], np.uint8)
        >>> places = np.zeros(4, np.int64)
        >>> number = differences(mask[1:], mask[:-1], places)
        >>> places[:number].tolist()  # the mask changes behind the pixels 1 and 3
        [1, 3]
    """
    number = 0
    for begin in range(0, len(one), _BLOCK):
        left, right = one[begin : begin + _BLOCK], other[begin : begin + _BLOCK]
        different = np.uint8(len(left) < _BLOCK)
        if not different:  # a loop of fixed length becomes a few vector instructions
            for place in range(_BLOCK):
                different = np.uint8(different | (left[place] ^ right[place]))
        if different:
            for place in range(len(left)):
                if left[place] != right[place]:
                    found[number] = begin + place
                    number += 1
    return number
