"""The places where two arrays of bytes differ, such as a mask and the same mask moved by one.

Input: two arrays of bytes of the same length.
Idea: most pixels of a mask equal their neighbours, so whole blocks are compared first.
Steps: compare a block; only if it differs, compare its bytes and write the places.
Cost: linear in the bytes, with vector instructions where nothing differs.
"""

import numpy as np
from jaxtyping import Int64, UInt8

from maskspace.kernels.compiled import compiled

_BLOCK = 128  # bytes that are compared in one go


@compiled
def differences(
    first: UInt8[np.ndarray, " p"], second: UInt8[np.ndarray, " p"], places: Int64[np.ndarray, " q"]
) -> int:
    """Write the places where two arrays differ; return their number.

    Example:
        >>> mask = np.array([0, 0, 1, 1, 0], np.uint8)
        >>> places = np.zeros(4, np.int64)
        >>> number = differences(mask[1:], mask[:-1], places)
        >>> places[:number].tolist()  # the mask changes behind the pixels 1 and 3
        [1, 3]
    """
    number = 0
    for begin in range(0, len(first), _BLOCK):
        first_block, second_block = first[begin : begin + _BLOCK], second[begin : begin + _BLOCK]
        different = np.uint8(len(first_block) < _BLOCK)
        if not different:  # a loop of fixed length becomes a few vector instructions
            for place in range(_BLOCK):
                different = np.uint8(different | (first_block[place] ^ second_block[place]))
        if different:
            for place in range(len(first_block)):
                if first_block[place] != second_block[place]:
                    places[number] = begin + place
                    number += 1
    return number
