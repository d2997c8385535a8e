"""COCO's run lengths: strings <-> runs of pixels <-> dense masks, all of an image in one pass.

The strings are pycocotools', byte for byte. Everything is checked before anything is allocated, and
painting touches only the box of each mask: the rest of the dense array is memory that the system
has never had to give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from maskspace.compiled import compiled

#: The most pixels a mask may have: a square of 12 000 a side.
MAX_PIXELS = 144_000_000
#: The most bytes of one dense array of masks.
MAX_DENSE_BYTES = 2**35

_DIGITS = 8  # characters of a number: 40 bits
_LARGEST = 2 ** (5 * _DIGITS - 1)
_BLOCK = 128  # bytes that are compared in one go
_WRONG = {
    1: "hold a character that is not COCO's coding",
    2: "end in the middle of a number",
    3: f"hold a number above 2**{5 * _DIGITS - 1}",
}
_UNCOVERED = 4


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of `number` masks, ordered by mask, then position.

    Run r covers the positions `start[r]` to `start[r] + length[r] - 1` of mask `mask[r]`, where the
    position of a pixel is its column times the height plus its row. Lengths are at least 1 and two
    runs of a mask never touch.
    """

    number: int
    mask: Int64[np.ndarray, " r"]
    start: Int64[np.ndarray, " r"]
    length: Int64[np.ndarray, " r"]

    def areas(self) -> Int64[np.ndarray, " n"]:
        """Return the pixel count of each mask."""
        total = np.concatenate([[0], np.cumsum(self.length)])
        return np.diff(total[np.searchsorted(self.mask, np.arange(self.number + 1))])


def encode(masks: Bool[np.ndarray, "n h w"]) -> list[str]:
    """Return COCO's compressed run-length string of each mask."""
    return encode_runs(mask_runs(masks), masks.shape[1:])


def decode(counts: Sequence[str], size_hw: tuple[int, int]) -> Bool[np.ndarray, "n h w"]:
    """Return the dense masks of COCO's strings.

    Raises ValueError for a string that is no coding or does not cover the image exactly, and for
    more than MAX_PIXELS pixels or MAX_DENSE_BYTES bytes, before anything of that size is made.
    """
    return decode_crop(counts, size_hw, (0, 0, size_hw[1], size_hw[0]))


def decode_crop(
    counts: Sequence[str], size_hw: tuple[int, int], box_xywh: tuple[int, int, int, int]
) -> Bool[np.ndarray, "n h w"]:
    """Return what `decode` gives in a box of the image, without making the rest.

    Raises ValueError as `decode` does, and for a box that is not inside the image.
    """
    height, width = size_hw
    left, top, columns, rows = box_xywh
    if min(left, top, columns, rows) < 0 or left + columns > width or top + rows > height:
        raise ValueError(f"box {box_xywh} (x, y, w, h) is not inside the {height} x {width} image")
    if len(counts) * rows * columns > MAX_DENSE_BYTES:
        raise ValueError(
            f"{len(counts)} dense masks of {rows} x {columns} pixels are above "
            f"{MAX_DENSE_BYTES} bytes; decode fewer at a time, or a crop"
        )
    lengths, firsts = _covering_lengths(counts, size_hw)
    dense = np.zeros((len(counts), rows, columns), np.uint8)
    _paint(dense, lengths, firsts, height, left, top)
    return dense.view(bool)


@compiled
def _paint(
    dense: UInt8[np.ndarray, "n h w"],
    lengths: Int64[np.ndarray, " v"],
    firsts: Int64[np.ndarray, " m"],
    height: int,
    left: int,
    top: int,
) -> None:
    """Paint runs of columns of this height, of which `dense` shows a box.

    What is written pixel by pixel is where colours change within a column; then each row of the
    mask's box takes over what the row above it has.
    """
    number, rows, columns = dense.shape
    for mask in range(number):
        low, high, first, last = rows, 0, columns, 0
        column, row = -left, 0
        for index in range(firsts[mask], firsts[mask + 1]):
            length = lengths[index]
            while length > 0:
                end = min(row + length, height)
                begin, beyond = max(row - top, 0), min(end - top, rows)
                if (index - firsts[mask]) & 1 and 0 <= column < columns and begin < beyond:
                    dense[mask, begin, column] ^= 1
                    if beyond < rows:
                        dense[mask, beyond, column] ^= 1
                    low, high = min(low, begin), max(high, beyond)
                    first, last = min(first, column), column + 1
                length -= end - row
                column, row = (column, end) if end < height else (column + 1, 0)
        for y in range(low + 1, min(high + 1, rows)):
            above, here = dense[mask, y - 1, first:last], dense[mask, y, first:last]
            for x in range(last - first):
                here[x] ^= above[x]


def mask_runs(masks: Bool[np.ndarray, "n h w"]) -> Runs:
    """Return the runs of dense masks."""
    number, height, width = masks.shape
    flat = np.ascontiguousarray(masks).view(np.uint8).reshape(number, height * width)
    found = np.empty(height * width, np.int64)
    pieces = []
    for mask in flat:
        # the first row follows the last of the columns before
        top = np.flatnonzero(mask[:width] != np.append([0], mask[-width:-1])) * height
        row, column = np.divmod(found[: differences(mask[width:], mask[:-width], found)], width)
        end = np.full(int(mask[-1:].any()), height * width)
        pieces.append(np.concatenate([top, column * height + row + 1, end]))
        pieces[-1].sort()
    return runs_between(pieces)


def runs_between(pieces: Sequence[Int64[np.ndarray, " _"]]) -> Runs:
    """Return runs by where those of each mask begin and end in turn."""
    owner = np.repeat(np.arange(len(pieces)), [len(piece) // 2 for piece in pieces])
    borders = np.concatenate([np.zeros(0, np.int64), *pieces]).reshape(-1, 2)
    return Runs(len(pieces), owner, borders[:, 0].copy(), borders[:, 1] - borders[:, 0])


@compiled
def differences(
    one: UInt8[np.ndarray, " p"], other: UInt8[np.ndarray, " p"], found: Int64[np.ndarray, " q"]
) -> int:
    """Write down the places where two arrays differ and return how many there are."""
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


def run_lengths(counts: str) -> list[int]:
    """Return the run lengths, background first, that a COCO compressed string stands for.

    They may be negative or fit no image; ValueError for what is not COCO's coding.
    """
    lengths, _ = _parsed([counts], None)
    return lengths.tolist() or [0]


def decode_runs(counts: Sequence[str], size_hw: tuple[int, int]) -> Runs:
    """Return the runs of COCO's compressed strings; ValueError if one does not fit the size."""
    lengths, firsts = _covering_lengths(counts, size_hw)
    owner, start, length = np.empty((3, len(lengths) // 2), np.int64)
    number = _foreground(lengths, firsts, owner, start, length)
    return Runs(len(counts), owner[:number], start[:number], length[:number])


@compiled
def _foreground(
    lengths: Int64[np.ndarray, " v"],
    firsts: Int64[np.ndarray, " m"],
    owner: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
) -> int:
    """Write down the runs of foreground, those that touch as one, and return how many there are."""
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


def _covering_lengths(
    counts: Sequence[str], size_hw: tuple[int, int]
) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " m"]]:
    """Return the run lengths in all strings and where those of each begin and end.

    They are 0 to the image's pixels, and the sum of each string's is all of them, else ValueError.
    """
    if min(size_hw) < 1 or size_hw[0] * size_hw[1] > MAX_PIXELS:
        raise ValueError(f"masks of {size_hw} (h, w); masks have 1 to {MAX_PIXELS} pixels")
    return _parsed(counts, size_hw)


def _parsed(
    counts: Sequence[str], size_hw: tuple[int, int] | None
) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " m"]]:
    """Return the run lengths in all strings and where those of each begin and end.

    ValueError that names the mask for what is not COCO's coding or does not cover a size that is
    given.
    """
    # what is not ASCII has bytes above every code, the first of them where the character is
    text = np.frombuffer("".join(counts).encode("utf-8", "surrogatepass"), np.uint8)
    characters = np.fromiter(map(len, counts), np.int64, len(counts))
    lengths, firsts = np.empty(len(text), np.int64), np.empty(len(counts) + 1, np.int64)
    pixels = -1 if size_hw is None else size_hw[0] * size_hw[1]
    wrong, mask, covered = _parse(text, characters, pixels, lengths, firsts)
    if wrong == _UNCOVERED and size_hw is not None:
        raise ValueError(
            f"mask {mask}: its run lengths cover {covered} pixels, the image has "
            f"{size_hw[0]} x {size_hw[1]} = {pixels}"
        )
    if wrong:
        raise ValueError(f"mask {mask}: its run lengths {_WRONG[wrong]}")
    return lengths[: firsts[-1]], firsts


@compiled
def _parse(
    text: UInt8[np.ndarray, " t"],
    characters: Int64[np.ndarray, " n"],
    pixels: int,
    lengths: Int64[np.ndarray, " v"],
    firsts: Int64[np.ndarray, " m"],
) -> tuple[int, int, int]:
    """Write down run lengths; return what is wrong, or 0, with which mask, and what it covers.

    The format is pycocotools': 5 bits a character with a continuation bit, offset 48, sign in the
    highest bit of a number's last character; from a string's fourth number on each adds to the one
    two before. No sum overflows: numbers are limited, and what is no length stops the covering.
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
                    return 2, mask, 0
                code = np.int64(text[place]) - 48
                if not 0 <= code < 64:
                    return 1, mask, 0
                if shift == 5 * _DIGITS:
                    return 3, mask, 0
                value |= (code & 31) << shift
                shift += 5
                place += 1
            if code & 16:
                value -= 1 << shift
            if number > firsts[mask] + 2:
                value += lengths[number - 2]
            if abs(value) > _LARGEST:
                return 3, mask, 0
            lengths[number] = value
            number += 1
            covered += value
            fits &= 0 <= value <= pixels
        if pixels >= 0 and not (fits and covered == pixels):
            return _UNCOVERED, mask, int(covered)
    firsts[len(characters)] = number
    return 0, 0, 0


def encode_runs(runs: Runs, size_hw: tuple[int, int]) -> list[str]:
    """Return COCO's compressed string of each mask."""
    text = np.empty(_DIGITS * (2 * len(runs.mask) + runs.number), np.uint8)
    ends = np.zeros(runs.number + 1, np.int64)
    _write(runs.mask, runs.start, runs.length, size_hw[0] * size_hw[1], text, ends)
    coded = text[: ends[-1]].tobytes().decode("ascii")
    return [coded[begin:end] for begin, end in pairwise(ends.tolist())]


@compiled
def _write(
    owner: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
    pixels: int,
    text: UInt8[np.ndarray, " t"],
    ends: Int64[np.ndarray, " m"],
) -> None:
    """Write the strings of all masks one after the other, and where each ends."""
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


def merged(
    number: int,
    mask: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
) -> Runs:
    """Return ordered runs with those that touch made one."""
    new = np.ones(len(mask), bool)
    new[1:] = (mask[1:] != mask[:-1]) | (start[1:] != start[:-1] + length[:-1])
    if new.all():
        return Runs(number, mask, start, length)
    begins = np.flatnonzero(new)
    return Runs(number, mask[begins], start[begins], np.add.reduceat(length, begins))
