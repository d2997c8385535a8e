"""The gradient of the Lovász extension of 1 - IoU: errors sorted by radix, one map at a time.

Input: float32 errors >= 0 of some maps, and which pixels are true and which are known.
Idea: the slope of a pixel depends on the number of true and false pixels with a larger error.
    Non-negative float32 numbers have the order of their bits. Most false pixels have slope 0 and
    are not sorted at all.
Steps: find the extreme errors (`_extremes`); make keys with as few digits as their range needs, and
    count the digits (`_split`, `_count`); move items digit by digit (`_place`, `_distribute`); walk
    through them in order and write the slopes (`_write_slopes`).
Cost: linear in the pixels, one pass for each digit of 13 bits, three at most. A comparison sort in
    torch takes several times as long: `slopes_by_sort` in `mask_losses.lovasz` does the same.
"""

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt16, UInt32, UInt64

from maskspace.kernels.compiled import compiled

Whole = int | np.signedinteger
Items = UInt32[np.ndarray, " p"] | UInt64[np.ndarray, " p"]
#: All bits of a float32 but its sign: -0 is 0.
_MAGNITUDE = np.int32(0x7FFFFFFF)
#: Pixels of which at once is asked whether one is sorted.
_BLOCK = 256
#: Most bits of a digit, whose counts are to stay in the first cache, and digits of a key.
_DIGIT, _PASSES = 13, 3


@compiled
def slopes_by_radix(
    bits: Int32[np.ndarray, "b p"],
    true: Bool[np.ndarray, "b p"],
    known: Bool[np.ndarray, "k p"],
    slopes: Float32[np.ndarray, "b p"],
    scratch: UInt64[np.ndarray, "2 p"],
) -> None:
    """Write the slopes of float32 errors >= 0, which are given as their bits.

    False pixels whose error is at most the least error of a true pixel have slope 0 and are not
    sorted. True pixels whose error is above, or below, those of all false pixels need no order
    among themselves. So keys only span the errors of false pixels, which takes fewer digits.

    Args:
        bits: the bits of the errors.
        true: whether a pixel is true.
        known: whether a pixel is known; one row may stand for all maps.
        slopes: receives the slopes.
        scratch: memory to sort in.

    Example:
        >>> true = np.array([[True, True, False, False]])
        >>> errors = np.array([[0.1, 0.4, 0.3, 0.0]], np.float32)
        >>> slopes, scratch = np.zeros_like(errors), np.zeros((2, 4), np.uint64)
        >>> slopes_by_radix(errors.view(np.int32), true, np.ones((1, 4), bool), slopes, scratch)
        >>> (6 * slopes).round().tolist()  # sixths: the pixel that errs most costs 1/2
        [[2.0, 3.0, 1.0, 0.0]]
    """
    pixels = bits.shape[1]
    counts = np.empty((_PASSES, (1 << _DIGIT) + 1), np.uint32)
    most = np.empty(pixels // _BLOCK + 1, np.int32)
    room = _bits_of(2 * pixels)
    for row in range(len(bits)):
        maps = bits[row], true[row], known[row % len(known)]
        number, least, low, high = _extremes(*maps, most)
        # keys count down from above the greatest false error to below the least that is sorted;
        # they begin at 1, so that there is a below
        highest = np.uint32(np.int64(high) + 2)
        lowest = min(np.uint32(max(least + 1, low)), highest)
        size = max(1, _bits_of(np.int64(highest - lowest)))
        passes = (size + _DIGIT - 1) // _DIGIT
        width = (size + passes - 1) // passes
        limits, layout = (np.int32(least), highest, lowest), (passes, width, room)
        slopes[row] = 0
        if room + size - width <= 32:  # half the memory to go through
            order = _sort(*maps, most, limits, layout, scratch.view(np.uint32), counts)
            _write_slopes(order, room, number, slopes[row])
        else:
            order = _sort(*maps, most, limits, layout, scratch, counts)
            _write_slopes(order, room, number, slopes[row])


@compiled
def _bits_of(number: Whole) -> int:
    """Return how many bits a number >= 0 has."""
    size = 0
    while number >> size:
        size += 1
    return size


@compiled
def _extremes(
    bits: Int32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    known: Bool[np.ndarray, " p"],
    most: Int32[np.ndarray, " q"],
) -> tuple[Whole, Whole, Whole, Whole]:
    """Return the number of true pixels, their least error, and the least and most of false ones.

    Only known pixels count. `most` receives the largest error of each block; for a block with a
    true pixel it is larger than any error.
    """
    number, least, low, high = 0, _MAGNITUDE, _MAGNITUDE, np.int32(-1)
    for block in range(len(most)):
        block_slice = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(bits)))
        of_block = _extremes_of_block(bits[block_slice], true[block_slice], known[block_slice])
        number += of_block[0]
        least, low, high = min(least, of_block[1]), min(low, of_block[2]), max(high, of_block[3])
        most[block] = _MAGNITUDE if of_block[0] else of_block[3]
    return number, least if number else np.int32(-1), low, high


@compiled
def _extremes_of_block(
    bits: Int32[np.ndarray, " p"], true: Bool[np.ndarray, " p"], known: Bool[np.ndarray, " p"]
) -> tuple[Whole, Whole, Whole, Whole]:
    number, least, low, high = np.int32(0), _MAGNITUDE, _MAGNITUDE, np.int32(-1)
    for pixel in range(len(bits)):
        error = bits[pixel] & _MAGNITUDE if known[pixel] else np.int32(-1)
        is_true = true[pixel] & known[pixel]
        number += np.int32(is_true)
        least = min(least, error if is_true else _MAGNITUDE)
        false_error = np.int32(-1) if is_true else error
        low, high = min(low, false_error & _MAGNITUDE), max(high, false_error)
    return number, least, low, high


@compiled
def _sort(
    bits: Int32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    known: Bool[np.ndarray, " p"],
    most: Int32[np.ndarray, " q"],
    limits: tuple[np.int32, np.uint32, np.uint32],
    layout: tuple[int, int, int],
    scratch: Items,
    counts: UInt32[np.ndarray, "k d"],
) -> Items:
    """Return the items of the sorted pixels in order: twice a pixel's index, plus 1 if true.

    The index is in an item's lower bits. Above it are the digits of its key, except the lowest
    digit: the first pass sorts by that one, so no later pass needs it.

    Args:
        bits: the bits of the errors of one map.
        true: whether a pixel is true.
        known: whether a pixel is known.
        most: the largest error of each block, see `_extremes`.
        limits: the least error of a true pixel, and the highest and the lowest key.
        layout: number of digits, bits of a digit, bits below the digits.
        scratch: memory for the items, twice.
        counts: memory for the counts of digits.
    """
    passes, width, room = layout
    counts[:] = 0
    digits, items = np.empty(_BLOCK, np.uint16), np.empty(_BLOCK, scratch.dtype)
    order, spare = scratch[0], scratch[1]
    for placing in (False, True):
        for block in range(len(most)):
            if most[block] > limits[0]:
                block_slice = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(bits)))
                start, number = block_slice.start, block_slice.stop - block_slice.start
                _split(
                    bits[block_slice],
                    true[block_slice],
                    known[block_slice],
                    start,
                    limits,
                    layout,
                    digits,
                    items,
                )
                if placing:
                    _place(items, digits, number, counts[0], order)
                else:
                    _count(items, digits, number, layout, counts)
        if not placing:
            for each in counts:
                _begin(each)
    num_sorted = counts[0, (1 << width) - 1]  # by now where the last of its digit has ended
    for digit_number in range(1, passes):
        _distribute(
            order[:num_sorted],
            room + width * (digit_number - 1),
            width,
            counts[digit_number],
            spare,
        )
        order, spare = spare, order
    return order[:num_sorted]


@compiled
def _split(
    bits: Int32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    known: Bool[np.ndarray, " p"],
    start: int,
    limits: tuple[np.int32, np.uint32, np.uint32],
    layout: tuple[int, int, int],
    digits: UInt16[np.ndarray, " d"],
    items: Items,
) -> None:
    """Write the lowest digit of each key to `digits`, its other digits and the pixel to `items`.

    A pixel that is not sorted has a digit beyond all others.
    """
    least, highest, lowest = limits
    _, width, room = layout
    beyond, last = np.uint16(1 << width), ~np.uint64((1 << room) - 1)
    for pixel in range(len(bits)):
        error, is_true = bits[pixel] & _MAGNITUDE, true[pixel]
        key = highest - max(min(np.uint32(error + 1), highest), lowest)
        is_sorted = known[pixel] & (is_true | (error > least))
        digits[pixel] = np.uint16(key) & np.uint16(beyond - 1) if is_sorted else beyond
        above = np.uint64(key) >> np.uint64(width) << np.uint64(room) if is_sorted else last
        items[pixel] = above | np.uint64(2 * (start + pixel)) | np.uint64(is_true)


@compiled
def _count(
    items: Items,
    digits: UInt16[np.ndarray, " d"],
    number: int,
    layout: tuple[int, int, int],
    counts: UInt32[np.ndarray, "k d"],
) -> None:
    """Count the lowest digits, and the other digits in the items."""
    passes, width, room = layout
    for item in range(number):
        counts[0, digits[item]] += np.uint32(1)
    mask = np.uint64((1 << width) - 1)
    for digit_number in range(1, passes):
        shift = np.uint64(room + width * (digit_number - 1))
        for item in range(number):
            counts[digit_number, items[item] >> shift & mask] += np.uint32(1)


@compiled
def _begin(counts: UInt32[np.ndarray, " d"]) -> None:
    """Turn the number of items with each digit into the place of the first of them."""
    total = np.uint32(0)
    for digit in range(len(counts)):
        counts[digit], total = total, total + counts[digit]


@compiled
def _place(
    items: Items,
    digits: UInt16[np.ndarray, " d"],
    number: int,
    places: UInt32[np.ndarray, " d"],
    to: Items,
) -> None:
    """Write each item to the next place of its digit."""
    for item in range(number):
        place = places[digits[item]]
        to[place] = items[item]
        places[digits[item]] = place + np.uint32(1)


@compiled
def _distribute(
    items: Items, shift: int, width: int, places: UInt32[np.ndarray, " d"], to: Items
) -> None:
    """Write each item to the next place of its digit, which is read from the item."""
    mask = np.uint64((1 << width) - 1)
    for item in items:
        digit = item >> np.uint64(shift) & mask
        place = places[digit]
        to[place] = item
        places[digit] = place + np.uint32(1)


@compiled
def _write_slopes(
    order: Items, room: int, number: Whole, slopes: Float32[np.ndarray, " p"]
) -> None:
    """Write the slopes of pixels in their order, as `_sort` returns it."""
    shared = union = number
    mask = np.uint64((1 << room) - 1)
    for item in order:
        pixel = (item & mask) >> np.uint64(1)
        if item & np.uint64(1):
            slopes[pixel] = 1 / union
            shared -= 1
        else:
            union += 1
            slopes[pixel] = shared / (union * (union - 1)) if union > 1 else 1.0
