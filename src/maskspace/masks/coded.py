"""COCO's run lengths: strings <-> runs of pixels <-> dense masks, all of an image in one pass.

The strings equal pycocotools' byte for byte. Everything is checked before memory is allocated.
Painting touches only the box of each mask; the system never has to provide the rest of the dense
array.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int64

from maskspace.kernels.coco_strings import (
    CUT_OFF,
    DIGITS,
    NOT_A_CODE,
    TOO_LARGE,
    UNCOVERED,
    foreground_runs,
    paint_runs,
    parse_strings,
    write_strings,
)
from maskspace.masks.runs import Runs, mask_runs

#: The most pixels a mask may have: a square of 12 000 a side.
MAX_PIXELS = 144_000_000
#: The most bytes of one dense array of masks.
MAX_DENSE_BYTES = 2**35

_WRONG = {
    NOT_A_CODE: "hold a character that is not COCO's coding",
    CUT_OFF: "end in the middle of a number",
    TOO_LARGE: f"hold a number above 2**{5 * DIGITS - 1}",
}


def encode(masks: Bool[np.ndarray, "n h w"]) -> list[str]:
    """Return COCO's compressed run-length string of each mask.

    Example:
        >>> encode(np.array([[[0, 1], [0, 1]]], bool))  # two pixels off, two on, column by column
        ['22']
    """
    return encode_runs(mask_runs(masks), masks.shape[1:])


def decode(counts: Sequence[str], size_hw: tuple[int, int]) -> Bool[np.ndarray, "n h w"]:
    """Return the dense masks of COCO's strings.

    ValueError for a string that is no coding or does not cover the image exactly, and for more than
    MAX_PIXELS pixels or MAX_DENSE_BYTES bytes, before anything of that size is made.

    Example:
        >>> decode(["22"], (2, 2)).astype(int).tolist()
        [[[0, 1], [0, 1]]]
        >>> decode(["2"], (2, 2))
        Traceback (most recent call last):
            ...
        ValueError: mask 0: its run lengths cover 2 pixels, the image has 2 x 2 = 4
    """
    _check_size(size_hw)
    return decode_sampled(counts, size_hw, np.arange(size_hw[0]), np.arange(size_hw[1]))


def decode_sampled(
    counts: Sequence[str],
    size_hw: tuple[int, int],
    rows: Int64[np.ndarray, " r"],
    columns: Int64[np.ndarray, " s"],
) -> Bool[np.ndarray, "n r s"]:
    """Return what `decode` gives at some rows and columns, ascending, without making the rest.

    Hundreds of masks of a large photo, shrunk by nearest neighbour, take the memory of the small
    masks alone. ValueError as in `decode`.

    Example:
        >>> coded = encode(np.eye(8, dtype=bool)[None])
        >>> half = np.arange(0, 8, 2)
        >>> bool((decode_sampled(coded, (8, 8), half, half)[0] == np.eye(4, dtype=bool)).all())
        True
    """
    _check_size(size_hw)
    for name, places, size in (("rows", rows, size_hw[0]), ("columns", columns, size_hw[1])):
        if len(places) and not 0 <= places[0] <= places[-1] < size:
            raise ValueError(
                f"{name} {places[0]} to {places[-1]} are not inside the {size_hw} image"
            )
    shown_rows, each_row = np.unique(rows, return_inverse=True)
    shown_columns, each_column = np.unique(columns, return_inverse=True)
    dense = _painted(counts, size_hw, shown_rows, shown_columns)
    if len(shown_rows) == len(rows) and len(shown_columns) == len(columns):
        return dense
    return dense[:, each_row[:, None], each_column]


def _painted(
    counts: Sequence[str],
    size_hw: tuple[int, int],
    rows: Int64[np.ndarray, " r"],
    columns: Int64[np.ndarray, " s"],
) -> Bool[np.ndarray, "n r s"]:
    """Return the masks at rows and columns of the image that ascend, each once."""
    if len(counts) * len(rows) * len(columns) > MAX_DENSE_BYTES:
        raise ValueError(
            f"{len(counts)} dense masks of {len(rows)} x {len(columns)} pixels are above "
            f"{MAX_DENSE_BYTES} bytes; decode fewer at a time, or a crop"
        )
    lengths, firsts = _covering_lengths(counts, size_hw)
    height, width = size_hw
    rows_above = np.searchsorted(rows, np.arange(height + 1))
    column_at = np.full(width, -1)
    column_at[columns] = np.arange(len(columns))
    dense = np.zeros((len(counts), len(rows), len(columns)), np.uint8)
    paint_runs(dense, lengths, firsts, rows_above, column_at)
    return dense.view(bool)


def run_lengths(counts: str) -> list[int]:
    """Return the run lengths of a COCO compressed string, background first.

    They may be negative or fit no image. ValueError for anything but COCO's coding.

    Example:
        >>> run_lengths("22")  # two pixels of background, then two of the mask
        [2, 2]
    """
    lengths, _ = _parsed([counts], None)
    return lengths.tolist() or [0]


def decode_runs(counts: Sequence[str], size_hw: tuple[int, int]) -> Runs:
    """Return the runs of COCO's compressed strings; ValueError if one does not fit the size.

    Example:
        >>> runs = decode_runs(["22", "04"], (2, 2))
        >>> runs.areas().tolist()
        [2, 4]
    """
    lengths, firsts = _covering_lengths(counts, size_hw)
    owner, start, length = np.empty((3, len(lengths) // 2), np.int64)
    number = foreground_runs(lengths, firsts, owner, start, length)
    return Runs(len(counts), owner[:number], start[:number], length[:number])


def _covering_lengths(
    counts: Sequence[str], size_hw: tuple[int, int]
) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " m"]]:
    """Return the run lengths of all strings, and where those of each begin and end.

    ValueError unless each length is at most the number of pixels and each string covers the image.
    """
    _check_size(size_hw)
    return _parsed(counts, size_hw)


def _check_size(size_hw: tuple[int, int]) -> None:
    if min(size_hw) < 1 or size_hw[0] * size_hw[1] > MAX_PIXELS:
        raise ValueError(f"masks of {size_hw} (h, w); masks have 1 to {MAX_PIXELS} pixels")


def _parsed(
    counts: Sequence[str], size_hw: tuple[int, int] | None
) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " m"]]:
    """Return the run lengths of all strings, and where those of each begin and end.

    ValueError that names the mask for anything but COCO's coding, and for a string that does not
    cover the size, if one is given.
    """
    # what is not ASCII has bytes above every code, the first of them where the character is
    text = np.frombuffer("".join(counts).encode("utf-8", "surrogatepass"), np.uint8)
    characters = np.fromiter(map(len, counts), np.int64, len(counts))
    lengths, firsts = np.empty(len(text), np.int64), np.empty(len(counts) + 1, np.int64)
    pixels = -1 if size_hw is None else size_hw[0] * size_hw[1]
    wrong, mask, covered = parse_strings(text, characters, pixels, lengths, firsts)
    if wrong == UNCOVERED and size_hw is not None:
        raise ValueError(
            f"mask {mask}: its run lengths cover {covered} pixels, the image has "
            f"{size_hw[0]} x {size_hw[1]} = {pixels}"
        )
    if wrong:
        raise ValueError(f"mask {mask}: its run lengths {_WRONG[wrong]}")
    return lengths[: firsts[-1]], firsts


def encode_runs(runs: Runs, size_hw: tuple[int, int]) -> list[str]:
    """Return COCO's compressed string of each mask.

    Example:
        >>> encode_runs(decode_runs(["22", "04"], (2, 2)), (2, 2))
        ['22', '04']
    """
    text = np.empty(DIGITS * (2 * len(runs.mask) + runs.number), np.uint8)
    ends = np.zeros(runs.number + 1, np.int64)
    write_strings(runs.mask, runs.start, runs.length, size_hw[0] * size_hw[1], text, ends)
    coded = text[: ends[-1]].tobytes().decode("ascii")
    return [coded[begin:end] for begin, end in pairwise(ends.tolist())]
