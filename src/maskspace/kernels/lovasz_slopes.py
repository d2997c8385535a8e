"""The gradient of the Lovász extension of 1 - IoU: errors sorted by radix, without a matrix.

Input: errors of float32, at least 0, of some maps, and which pixels are true and known.
Idea: the slope of a pixel depends on how many true and false pixels err more; float32 numbers of at
    least 0 sort as their bits do, and most false pixels have slope 0 and need no place at all.
Steps: find the extremes (`_extremes`); make keys of as few digits as they span and count the
    digits (`_split`, `_count`); place items digit by digit (`_place`, `_distribute`); go through
    them in order and write the slopes (`_write_slopes`).
Cost: linear in the pixels, one pass a digit of 13 bits, three at most; a comparison sort in torch
    takes several times as long, see `slopes_by_sort` in `mask_losses.lovasz` for the same by it.
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
    """Write the slopes of float32 errors, given as their bits: those of numbers >= 0 sort as they.

    What is known may be one row for all. False pixels whose error is at most the least of a true
    one have slope 0 and are not sorted; true ones that err more, or less, than all false ones that
    are need no order among themselves, so that keys span the errors of false ones: fewer digits.

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
    """Return how many known pixels are true, their least error, and the least and most of others.

    `most` becomes the greatest error of each block, over all errors where a pixel is true.
    """
    number, least, low, high = 0, _MAGNITUDE, _MAGNITUDE, np.int32(-1)
    for block in range(len(most)):
        here = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(bits)))
        found = _extremes_of_block(bits[here], true[here], known[here])
        number += found[0]
        least, low, high = min(least, found[1]), min(low, found[2]), max(high, found[3])
        most[block] = _MAGNITUDE if found[0] else found[3]
    return number, least if number else np.int32(-1), low, high


@compiled
def _extremes_of_block(
    bits: Int32[np.ndarray, " p"], true: Bool[np.ndarray, " p"], known: Bool[np.ndarray, " p"]
) -> tuple[Whole, Whole, Whole, Whole]:
    number, least, low, high = np.int32(0), _MAGNITUDE, _MAGNITUDE, np.int32(-1)
    for pixel in range(len(bits)):
        error = bits[pixel] & _MAGNITUDE if known[pixel] else np.int32(-1)
        hit = true[pixel] & known[pixel]
        number += np.int32(hit)
        least = min(least, error if hit else _MAGNITUDE)
        wrong = np.int32(-1) if hit else error
        low, high = min(low, wrong & _MAGNITUDE), max(high, wrong)
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
    """Return, in order, twice the index of each pixel that is sorted, plus 1 if it is true.

    That is in an item's lower bits; above are the digits of its key but the lowest, which is gone
    through first and need not be kept. `layout`: how many digits, and the bits of one and of what
    is lower.
    """
    passes, width, room = layout
    counts[:] = 0
    digits, items = np.empty(_BLOCK, np.uint16), np.empty(_BLOCK, scratch.dtype)
    order, spare = scratch[0], scratch[1]
    for placing in (False, True):
        for block in range(len(most)):
            if most[block] > limits[0]:
                here = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(bits)))
                start, number = here.start, here.stop - here.start
                _split(bits[here], true[here], known[here], start, limits, layout, digits, items)
                if placing:
                    _place(items, digits, number, counts[0], order)
                else:
                    _count(items, digits, number, layout, counts)
        if not placing:
            for each in counts:
                _begin(each)
    kept = counts[0, (1 << width) - 1]  # by now where the last of its digit has ended
    for later in range(1, passes):
        _distribute(order[:kept], room + width * (later - 1), width, counts[later], spare)
        order, spare = spare, order
    return order[:kept]


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
    """Write the lowest digit of each key, and its others above what is sorted.

    Pixels that are not have a digit beyond all, and the last of all others.
    """
    least, highest, lowest = limits
    _, width, room = layout
    beyond, last = np.uint16(1 << width), ~np.uint64((1 << room) - 1)
    for pixel in range(len(bits)):
        error, hit = bits[pixel] & _MAGNITUDE, true[pixel]
        key = highest - max(min(np.uint32(error + 1), highest), lowest)
        keep = known[pixel] & (hit | (error > least))
        digits[pixel] = np.uint16(key) & np.uint16(beyond - 1) if keep else beyond
        above = np.uint64(key) >> np.uint64(width) << np.uint64(room) if keep else last
        items[pixel] = above | np.uint64(2 * (start + pixel)) | np.uint64(hit)


@compiled
def _count(
    items: Items,
    digits: UInt16[np.ndarray, " d"],
    number: int,
    layout: tuple[int, int, int],
    counts: UInt32[np.ndarray, "k d"],
) -> None:
    """Count the lowest digits, and the others of the items."""
    passes, width, room = layout
    for item in range(number):
        counts[0, digits[item]] += np.uint32(1)
    mask = np.uint64((1 << width) - 1)
    for later in range(1, passes):
        shift = np.uint64(room + width * (later - 1))
        for item in range(number):
            counts[later, items[item] >> shift & mask] += np.uint32(1)


@compiled
def _begin(counts: UInt32[np.ndarray, " d"]) -> None:
    """Turn how many have each digit into where the first of them goes."""
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
    """Write each item to the next place of a digit of its own."""
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
