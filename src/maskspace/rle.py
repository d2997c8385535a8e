"""COCO's run lengths: strings <-> runs of pixels <-> dense masks, all of an image in one pass.

The strings are pycocotools', byte for byte. Everything is checked before anything is allocated, and
painting touches only the box of each mask: the rest of the dense array is memory that the system
has never had to give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from jaxtyping import Bool, Int64
from pycocotools import mask as coco

#: The most pixels a mask may have: a square of 12 000 a side.
MAX_PIXELS = 144_000_000
#: The most bytes of one dense array of masks.
MAX_DENSE_BYTES = 2**35

_DIGITS = 8  # characters of a number: 40 bits
_SMALL = 2**15  # pixels of all masks up to which numpy's fixed cost is more than pycocotools' work
_CACHED = 2**18  # bytes of an array that is transposed in one go
_PIXELS_A_LENGTH = 100  # as long as a run takes on the way to boxes takes writing so many pixels
_LOOPED, _FEW = 800, 3  # numbers a string above which, and strings up to which, a loop is quicker
_STRIPE = 16  # else rows at a time: few enough even where the image's width is a power of two


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
    number = len(counts)
    if 0 < number * height * width <= _SMALL and rows * columns == height * width:
        dense = _small(counts, size_hw)
        if dense is not None:
            return dense
    lengths, firsts = _covering_lengths(counts, size_hw)
    if rows * columns == height * width and _spreads_better(number * rows * columns, len(lengths)):
        return _spread(lengths, firsts, size_hw)
    runs = _runs(lengths, firsts)
    dense = np.zeros((number, rows, columns), bool)
    if columns < width:
        runs = _between(runs, left * height, (left + columns) * height)
    _paint(dense, runs, height=height, top=top)
    return dense


def _small(counts: Sequence[str], size_hw: tuple[int, int]) -> Bool[np.ndarray, "n h w"] | None:
    """Return the dense masks by pycocotools, which has no fixed cost, or None to have them checked.

    It stops at the image's end (2.0.11), but takes strings that cover too little, or any; of one
    that ends within a number it reads on in the memory behind it, so that it is not given those.
    What it codes again as the strings that were given was right: every pixel of them has been
    written.
    """
    coded = [one.encode() for one in counts]
    if any(not one or (one[-1] - 48) & 32 or 0 in one for one in coded):
        return None
    objects = [{"size": list(size_hw), "counts": one} for one in coded]
    try:
        stack = coco.decode(objects)  # pyright: ignore[reportArgumentType]
    except ValueError:
        return None
    if coco.encode(stack) != objects:
        return None
    return np.ascontiguousarray(stack.transpose(2, 0, 1)).view(bool)


def _spreads_better(pixels: int, lengths: int) -> bool:
    """Return whether to write out every pixel rather than to find the boxes of the masks first."""
    return pixels <= max(_CACHED, _PIXELS_A_LENGTH * lengths)


def _spread(
    lengths: Int64[np.ndarray, " v"], firsts: Int64[np.ndarray, " m"], size_hw: tuple[int, int]
) -> Bool[np.ndarray, "n h w"]:
    """Return the dense masks of run lengths that cover them exactly."""
    height, width = size_hw
    colours = (_places(firsts) & 1).astype(bool)
    columns = colours.repeat(lengths).reshape(-1, width, height)
    if columns.size <= _CACHED:
        return np.ascontiguousarray(columns.swapaxes(1, 2))
    dense = np.empty((len(columns), height, width), bool)
    for source, out in zip(columns, dense, strict=True):
        _turn(source, out)
    return dense


def _places(firsts: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " v"]:
    """Return of each number its place in its string."""
    place = np.arange(firsts[-1])
    if len(firsts) > 2:
        place -= firsts[:-1].repeat(firsts[1:] - firsts[:-1])
    return place


def _between(runs: Runs, first: int, last: int) -> Runs:
    """Return what lies at these positions, counted from the first."""
    start = np.maximum(runs.start, first)
    length = np.minimum(runs.start + runs.length, last) - start
    kept = length > 0
    return Runs(runs.number, runs.mask[kept], start[kept] - first, length[kept])


def _paint(dense: Bool[np.ndarray, "n h w"], runs: Runs, *, height: int, top: int) -> None:
    """Paint runs of columns of this height, of which `dense` shows the rows from `top` on.

    Each mask is painted as the transpose of its box: the runs between the first and the last row
    that it reaches, shortened to the height of the box.
    """
    mask, start, length = runs.mask, runs.start, runs.length
    borders = np.searchsorted(mask, np.arange(runs.number + 1))
    present = np.flatnonzero(borders[1:] > borders[:-1])
    if len(present) == 0:
        return
    firsts, ends = borders[present], borders[present + 1]
    column, row = np.divmod(start, height)
    last_column, last_row = np.divmod(start + length - 1, height)
    wraps = last_column > column  # such a run reaches the last row and the first
    low = np.minimum.reduceat(np.where(wraps, 0, row), firsts)
    high = np.maximum.reduceat(np.where(wraps, height - 1, last_row), firsts) + 1
    left = np.minimum.reduceat(column, firsts)
    right = np.maximum.reduceat(last_column, firsts) + 1
    tall = high - low
    owner = np.repeat(np.arange(len(firsts)), ends - firsts)
    begin = (column - left[owner]) * tall[owner] + row - low[owner]
    gap = begin.copy()
    gap[1:] -= begin[:-1] + length[:-1]
    gap[firsts] = begin[firsts]
    # of each mask the gaps and the lengths in turn, and what is left of its box
    place = 2 * np.arange(len(mask)) + owner
    last = 2 * ends + np.arange(len(ends))
    turns = np.empty(2 * len(mask) + len(ends), np.int64)
    turns[place], turns[place + 1] = gap, length
    turns[last] = (right - left) * tall - begin[ends - 1] - length[ends - 1]
    colours = np.arange(2 * int((ends - firsts).max()) + 1) % 2 == 1
    boxes = np.stack([present, left, right, low, high, place[firsts], last + 1], axis=1)
    for index, x, end_x, y, end_y, a, b in boxes.tolist():
        strip = colours[: b - a].repeat(turns[a:b])
        seen = strip.reshape(end_x - x, end_y - y)[
            :, max(top - y, 0) : max(top + dense.shape[1] - y, 0)
        ]
        y = max(y - top, 0)
        _turn(seen, dense[index, y : y + seen.shape[1], x:end_x])


def _turn(source: Bool[np.ndarray, "r s"], out: Bool[np.ndarray, "s r"]) -> None:
    """Write the transpose; of large arrays by stripes, so that what it touches stays cached."""
    stripe = len(source) if source.size <= _CACHED else _STRIPE
    for begin in range(0, len(source), max(stripe, 1)):
        out[:, begin : begin + stripe] = source[begin : begin + stripe].T


def mask_runs(masks: Bool[np.ndarray, "n h w"]) -> Runs:
    """Return the runs of dense masks."""
    height = masks.shape[1]
    rows = np.asarray(masks.any(axis=2))  # n h
    top = rows.argmax(axis=1)
    bottom = np.where(rows.any(axis=-1), height - rows[:, ::-1].argmax(axis=1), 0)
    pieces = [
        _borders(masks[index, a:b], top=a, height=height)
        for index, (a, b) in enumerate(zip(top.tolist(), bottom.tolist(), strict=True))
    ]
    owner = np.repeat(np.arange(len(masks)), [len(piece) // 2 for piece in pieces])
    borders = np.concatenate([*pieces, np.zeros(0, np.int64)]).reshape(-1, 2)
    return Runs(len(masks), owner, borders[:, 0].copy(), borders[:, 1] - borders[:, 0])


def _borders(piece: Bool[np.ndarray, "r w"], *, top: int, height: int) -> Int64[np.ndarray, " e"]:
    """Return where runs begin and end, given the rows of a mask that are not empty, from `top`."""
    columns = np.flatnonzero(piece.any(axis=0))
    if len(columns) == 0:
        return np.zeros(0, np.int64)
    left, right = int(columns[0]), int(columns[-1]) + 1
    rows = len(piece)
    # a row of background below parts the columns, unless they follow each other in the image too
    padded = rows if rows == height else rows + 1
    flat = np.zeros((right - left) * padded + 2, bool)
    _turn(piece[:, left:right], flat[1:-1].reshape(right - left, padded)[:, :rows])
    borders = np.flatnonzero(flat[1:] != flat[:-1])
    if padded == height:
        return borders + (left * height + top)
    column, row = np.divmod(borders, padded)
    return (column + left) * height + row + top


def run_lengths(counts: str) -> list[int]:
    """Return the run lengths, background first, that a COCO compressed string stands for.

    They may be negative or fit no image; ValueError for what is not COCO's coding.
    """
    values, firsts = _parse([counts])
    return _undifferenced(values, firsts).tolist() or [0]


def decode_runs(counts: Sequence[str], size_hw: tuple[int, int]) -> Runs:
    """Return the runs of COCO's compressed strings; ValueError if one does not fit the size."""
    return _runs(*_covering_lengths(counts, size_hw))


def _runs(lengths: Int64[np.ndarray, " v"], firsts: Int64[np.ndarray, " m"]) -> Runs:
    """Return the runs of foreground among run lengths."""
    ends = np.zeros(len(lengths) + 1, np.int64)
    lengths.cumsum(out=ends[1:])
    kept = np.flatnonzero((_places(firsts) & 1) & (lengths > 0))
    owner = np.searchsorted(firsts, kept, side="right") - 1
    return merged(len(firsts) - 1, owner, ends[kept] - ends[firsts[owner]], lengths[kept])


def _covering_lengths(
    counts: Sequence[str], size_hw: tuple[int, int]
) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " m"]]:
    """Return the run lengths in all strings and where those of each begin and end.

    They are 0 to the image's pixels, and the sum of each string's is all of them, else ValueError.
    """
    pixels = size_hw[0] * size_hw[1]
    if min(size_hw) < 1 or pixels > MAX_PIXELS:
        raise ValueError(f"masks of {size_hw} (h, w); masks have 1 to {MAX_PIXELS} pixels")
    values, firsts = _parse(counts)
    lengths = _undifferenced(values, firsts)
    ends = np.zeros(len(lengths) + 1, np.int64)
    lengths.cumsum(out=ends[1:])
    covered = ends[firsts]
    covered = covered[1:] - covered[:-1]
    wrong = covered != pixels
    # seen as unsigned, what is below 0 is large too
    if len(lengths) and int(lengths.view(np.uint64).max()) > pixels:
        outside = np.flatnonzero(lengths.view(np.uint64) > pixels)
        wrong[np.searchsorted(firsts, outside, side="right") - 1] = True
    if wrong.any():
        index = int(wrong.argmax())
        raise ValueError(
            f"mask {index}: its run lengths cover {covered[index]} pixels, the image has "
            f"{size_hw[0]} x {size_hw[1]} = {pixels}"
        )
    return lengths, firsts


def encode_runs(runs: Runs, size_hw: tuple[int, int]) -> list[str]:
    """Return COCO's compressed string of each mask."""
    pixels = size_hw[0] * size_hw[1]
    first = np.diff(runs.mask, prepend=-1) > 0
    ends = runs.start + runs.length
    gaps = runs.start - np.where(first, 0, np.roll(ends, 1))
    tails = np.full(runs.number, pixels)
    tails[runs.mask] = pixels - ends  # the last run of a mask is written last
    owner = np.concatenate([np.repeat(runs.mask, 2), np.arange(runs.number)])
    values = np.concatenate([np.stack([gaps, runs.length], axis=1).ravel(), tails])
    order = np.argsort(owner, kind="stable")
    owner, values = owner[order], values[order]
    is_tail = np.diff(owner, append=runs.number) > 0
    kept = ~(is_tail & (values == 0))
    return _write(values[kept], owner[kept], runs.number)


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


def _parse(counts: Sequence[str]) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " m"]]:
    """Return the numbers in the strings as they are coded, and where each string's begin and end.

    The format is pycocotools': 5 bits a character with a continuation bit, offset 48, sign in the
    highest bit of a number's last character.
    """
    text = "".join(counts).encode("utf-8")  # what is not ASCII has bytes above every code
    code = np.frombuffer(text, np.uint8) - np.uint8(48)
    if code.max(initial=0) > 63:
        raise ValueError("run lengths hold a character that is not COCO's coding")
    borders = np.fromiter(accumulate(map(len, counts), initial=0), np.int64)
    parts = np.ones(len(code) + 1, bool)  # whether a number ends before a character
    np.less(code, 32, out=parts[1:])
    if not parts[borders].all():
        raise ValueError("run lengths end in the middle of a number")
    ends = parts.nonzero()[0]
    firsts = ends.searchsorted(borders)
    digits = ends[1:] - ends[:-1]
    last = ends[1:] - 1
    most = int(digits.max(initial=1))
    if most > _DIGITS:
        raise ValueError(f"run lengths hold a number above 2**{5 * _DIGITS - 1}")
    values = (code[last] ^ 16).astype(np.int64) - 16  # the highest of its 5 bits is the sign
    for digit in range(1, most):  # from a number's last character back
        longer = (digits > digit).nonzero()[0]
        values[longer] = (values[longer] << 5) | (code[last[longer] - digit] & 31)
    return values, firsts


def _undifferenced(
    values: Int64[np.ndarray, " v"], firsts: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " v"]:
    """Return the run lengths: from a string's fourth number on each adds to the one two before."""
    if len(values) > _LOOPED * (len(firsts) - _FEW):
        for first, end in pairwise(firsts.tolist()):
            for chain in (values[first + 1 : end : 2], values[first + 2 : end : 2]):
                chain.cumsum(out=chain)
        return values
    # both chains of all strings in two sums, from which goes what was there before each began
    sums = np.zeros(len(values) + 3, np.int64)
    sums[2:-1] = values
    for chain in (sums[::2], sums[1::2]):
        chain.cumsum(out=chain)
    begins, counts = firsts[:-1], firsts[1:] - firsts[:-1]
    before = [sums[begins + 2 - odd].repeat(counts) for odd in (0, 1)]
    lengths = sums[2:-1] - np.where(_places(firsts) & 1, before[1], before[0])
    begins = begins[counts > 0]
    lengths[begins] = values[begins]
    return lengths


def _write(
    values: Int64[np.ndarray, " v"], owner: Int64[np.ndarray, " v"], number: int
) -> list[str]:
    """Return the strings of the numbers of each owner, pycocotools' coding."""
    starts = np.searchsorted(owner, np.arange(number))
    place = np.arange(len(values)) - starts[owner]
    coded = values.copy()
    far = np.flatnonzero(place > 2)
    coded[far] -= values[far - 2]
    limits = 1 << (5 * np.arange(1, _DIGITS + 1) - 1)
    digits = 1 + np.searchsorted(limits, np.where(coded < 0, ~coded, coded), side="right")
    index = np.repeat(np.arange(len(coded)), digits)
    digit = np.arange(len(index)) - np.repeat(np.cumsum(digits) - digits, digits)
    chunk = (coded[index] >> (5 * digit)) & 31
    chunk |= np.where(digit < digits[index] - 1, 32, 0)
    text = (chunk + 48).astype(np.uint8).tobytes().decode("ascii")
    ends = np.concatenate([[0], np.cumsum(digits)])
    ends = ends[np.append(starts, len(values))]
    return [text[a:b] for a, b in pairwise(ends.tolist())]
