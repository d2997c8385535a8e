"""A set of pixels thinned until nothing changes, by two alternating tables of neighbourhoods.

Input: the pixels, with a rim of zeros, and for each of the two tables which of the 256
neighbourhoods a pixel goes with.
Idea: only pixels of the set can go, so that those alone are looked at, and no image is gone
through.
Steps: by the one table, then by the other, mark all pixels that go and take them out together;
until neither takes any.
Cost: the pixels that are left, as often as the set is thick.
"""

import numpy as np
from jaxtyping import Bool, UInt8

from maskspace.kernels.compiled import compiled


@compiled
def thin_pixels(inside: UInt8[np.ndarray, "r s"], goes: Bool[np.ndarray, "2 256"]) -> None:
    """Take out of `inside`, of 0 and 1, the pixels that go; its rim is 0 and stays.

    Bits of a neighbourhood, from the lowest: right, upper right, up, and so on against the clock.

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
    left = np.flatnonzero(flat)
    number, idle, table = len(left), 0, 0
    gone = np.empty(number, np.int64)
    while idle < 2:
        kept, going = 0, 0
        for place in range(number):
            pixel, code = left[place], 0
            for bit in range(8):
                code |= np.int64(flat[pixel + around[bit]]) << bit
            if goes[table, code]:
                gone[going] = pixel
                going += 1
            else:
                left[kept] = pixel
                kept += 1
        for place in range(going):
            flat[gone[place]] = 0
        number, table, idle = kept, 1 - table, 0 if going else idle + 1
