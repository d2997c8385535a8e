"""COCO's run-length strings: read, written and painted.

Input: the characters of all strings of an image, one string after the other.
Idea: one pass over all strings, without an object for each mask, which also checks them.
Steps: characters -> run lengths (`parse_strings`) -> runs of foreground (`foreground_runs`) or
    dense masks (`paint_runs`); and runs -> characters (`write_strings`).
Cost: linear in the characters; painting adds the pixels of each mask's box.
"""

import numpy as np
from jaxtyping import Int64, UInt8

from maskspace.kernels.compiled import compiled

#: The most characters of a number: 40 bits.
DIGITS = 8
#: The largest number that is read.
LARGEST = 2 ** (5 * DIGITS - 1)
#: What can be wrong with a string.
NOT_A_CODE, CUT_OFF, TOO_LARGE, UNCOVERED = 1, 2, 3, 4


@compiled
def paint_runs(
    dense: UInt8[np.ndarray, "n r s"],
    lengths: Int64[np.ndarray, " v"],
    firsts: Int64[np.ndarray, " m"],
    rows_above: Int64[np.ndarray, " k"],
    column_at: Int64[np.ndarray, " w"],
) -> None:
    """Paint runs along columns into dense masks that hold some of the rows and columns.

    First the pixels are marked at which a column of the mask changes between off and on. Then each
    row of the mask's box takes over the row above it, and changes at the marks.

    Args:
        dense: the masks, zeros before.
        lengths: run lengths of all masks, off and on in turn, column by column.
        firsts: where the run lengths of each mask begin, and where the last ones end.
        rows_above: [y] is the number of shown rows above row y, for y from 0 to the height.
        column_at: [x] is the place at which column x is shown, or -1.

    Example:
        >>> dense = np.zeros((1, 2, 2), np.uint8)
        >>> every = np.arange(3)  # all rows and columns are shown
        >>> paint_runs(dense, np.array([2, 2]), np.array([0, 2]), every, np.arange(2))
        >>> dense.tolist()  # two pixels off, two on, column by column
        [[[0, 1], [0, 1]]]
    """
    number, rows, columns = dense.shape
    height = len(rows_above) - 1
    for mask in range(number):
        low, high, first, last = rows, 0, columns, 0
        column, row = 0, 0
        for index in range(firsts[mask], firsts[mask + 1]):
            length = lengths[index]
            if not (index - firsts[mask]) & 1:
                row += length
                column, row = column + row // height, row % height
                continue
            while length > 0:
                end = min(row + length, height)
                shown, begin, beyond = column_at[column], rows_above[row], rows_above[end]
                if shown >= 0 and begin < beyond:
                    dense[mask, begin, shown] ^= 1
                    if beyond < rows:
                        dense[mask, beyond, shown] ^= 1
                    low, high = min(low, begin), max(high, beyond)
                    first, last = min(first, shown), shown + 1
                length -= end - row
                column, row = (column, end) if end < height else (column + 1, 0)
        for y in range(low + 1, min(high + 1, rows)):
            above, here = dense[mask, y - 1, first:last], dense[mask, y, first:last]
            for x in range(last - first):
                here[x] ^= above[x]


@compiled
def foreground_runs(
    lengths: Int64[np.ndarray, " v"],
    firsts: Int64[np.ndarray, " m"],
    owner: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
) -> int:
    """Write the runs of foreground, where runs that touch are one; return their number.

    Example:
        >>> owner, start, length = np.zeros((3, 2), np.int64)
        >>> foreground_runs(np.array([2, 1, 4, 3]), np.array([0, 4]), owner, start, length)
        2
        >>> start.tolist(), length.tolist()
        ([2, 7], [1, 3])
    """
    number = 0
    for mask in range(len(firsts) - 1):
        first, position = number, 0
        for index in range(firsts[mask], firsts[mask + 1]):
            if (index - firsts[mask]) & 1 and lengths[index] > 0:
                if number > first and start[number - 1] + length[number - 1] == position:
                    length[number - 1] += lengths[index]
                else:
                    owner[number], start[number], length[number] = mask, position, lengths[index]
                    number += 1
            position += lengths[index]
    return number


@compiled
def parse_strings(
    text: UInt8[np.ndarray, " t"],
    characters: Int64[np.ndarray, " n"],
    pixels: int,
    lengths: Int64[np.ndarray, " v"],
    firsts: Int64[np.ndarray, " m"],
) -> tuple[int, int, int]:
    """Write the run lengths of strings; return a fault (0: none), its mask, and what it covers.

    The format is that of pycocotools. A character holds 5 bits and a continuation bit, offset by
    48; the last character of a number has the sign in its highest bit. From the fourth number of a
    string on, a number is added to the one two before it. No sum overflows: numbers are limited,
    and a mask whose numbers are no run lengths is refused.

    Example:
        >>> lengths, firsts = np.zeros(2, np.int64), np.zeros(2, np.int64)
        >>> parse_strings(np.frombuffer(b"22", np.uint8), np.array([2]), 4, lengths, firsts)
        (0, 0, 0)
        >>> lengths.tolist(), firsts.tolist()
        ([2, 2], [0, 2])
    """
    number, place = 0, 0
    for mask in range(len(characters)):
        firsts[mask] = number
        end = place + characters[mask]
        covered, fits = 0, True
        while place < end:
            value, shift, code = 0, 0, 32
            while code & 32:
                if place == end:
                    return CUT_OFF, mask, 0
                code = np.int64(text[place]) - 48
                if not 0 <= code < 64:
                    return NOT_A_CODE, mask, 0
                if shift == 5 * DIGITS:
                    return TOO_LARGE, mask, 0
                value |= (code & 31) << shift
                shift += 5
                place += 1
            if code & 16:
                value -= 1 << shift
            if number > firsts[mask] + 2:
                value += lengths[number - 2]
            if abs(value) > LARGEST:
                return TOO_LARGE, mask, 0
            lengths[number] = value
            number += 1
            covered += value
            fits &= 0 <= value <= pixels
        if pixels >= 0 and not (fits and covered == pixels):
            return UNCOVERED, mask, int(covered)
    firsts[len(characters)] = number
    return 0, 0, 0


@compiled
def write_strings(
    owner: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
    pixels: int,
    text: UInt8[np.ndarray, " t"],
    ends: Int64[np.ndarray, " m"],
) -> None:
    """Write the strings of all masks one after the other, and where each ends.

    Example:
        >>> text, ends = np.zeros(16, np.uint8), np.zeros(2, np.int64)
        >>> write_strings(np.array([0]), np.array([2]), np.array([2]), 4, text, ends)
        >>> text[: ends[-1]].tobytes()
        b'22'
    """
    run, place = 0, 0
    for mask in range(len(ends) - 1):
        index, position, before, last = 0, 0, 0, 0
        while run < len(owner) and owner[run] == mask:
            for value in (start[run] - position, length[run]):
                place = _put(value - (before if index > 2 else 0), text, place)
                index, before, last = index + 1, last, value
            position = start[run] + length[run]
            run += 1
        if position < pixels:
            place = _put(pixels - position - (before if index > 2 else 0), text, place)
        ends[mask + 1] = place


@compiled
def _put(number: int, text: UInt8[np.ndarray, " t"], place: int) -> int:
    """Write a number and return the place behind it."""
    more = True
    while more:
        code, number = number & 31, number >> 5
        more = number != (-1 if code & 16 else 0)
        text[place] = 48 + code + 32 * more
        place += 1
    return place
