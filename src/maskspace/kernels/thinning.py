"""Thin a set of pixels until nothing changes, by two alternating tables of neighbourhoods.

Input: the pixels, with a rim of zeros; for each of two tables, the neighbourhoods (of 256) with
    which a pixel is removed.
Idea: only pixels of the set can be removed, so only these are looked at, never the whole image.
Steps: mark all pixels that the first table removes, and remove them together; then the same with
    the second table; until neither removes any.
Cost: the pixels that are left, as often as the set is thick.
"""

import numpy as np
from jaxtyping import Bool, UInt8

from maskspace.kernels.compiled import compiled


@compiled
def thin_pixels(inside: UInt8[np.ndarray, "r s"], removes: Bool[np.ndarray, "2 256"]) -> None:
    """Remove pixels from `inside`, which holds 0 and 1; its rim is 0 and stays.

    Args:
        inside: the set of pixels.
        removes: for both tables, whether a pixel with a neighbourhood is removed. The bits of a
            neighbourhood are, from the lowest: right, upper right, up, and so on,
            counter-clockwise.

    Example:
        >>> inside = np.zeros((3, 5), np.uint8)
        >>> inside[1, 1:4] = 1
        >>> thin_pixels(inside, np.arange(512).reshape(2, 256) == 1)  # with one to the right
        >>> inside[1].tolist()
        [0, 0, 0, 1, 0]
    """
    columns = inside.shape[1]
    flat = inside.reshape(-1)
    around = np.array(
        [1, 1 - columns, -columns, -1 - columns, -1, columns - 1, columns, columns + 1]
    )
    remaining = np.flatnonzero(flat)
    number, idle, table = len(remaining), 0, 0
    removed = np.empty(number, np.int64)
    while idle < 2:
        num_kept, num_removed = 0, 0
        for place in range(number):
            pixel, code = remaining[place], 0
            for bit in range(8):
                code |= np.int64(flat[pixel + around[bit]]) << bit
            if removes[table, code]:
                removed[num_removed] = pixel
                num_removed += 1
            else:
                remaining[num_kept] = pixel
                num_kept += 1
        for place in range(num_removed):
            flat[removed[place]] = 0
        number, table, idle = num_kept, 1 - table, 0 if num_removed else idle + 1
