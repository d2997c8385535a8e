"""Masks as runs of pixels: label maps, components, boxes and nesting without a dense mask.

A run is a stretch of foreground in COCO's column-major order. The work and the memory grow with
the outlines, not with pixels times masks: hundreds of masks of a 12-megapixel photo are a few
megabytes. The coded strings are pycocotools', byte for byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int, Int64
from pycocotools import mask as coco
from scipy import sparse
from scipy.sparse import csgraph

_BLOCK = 256  # masks whose intersections with all others are held at a time


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


def decode_runs(counts: Sequence[str], size_hw: tuple[int, int]) -> Runs:
    """Return the runs of COCO's compressed strings; ValueError if one does not fit the size."""
    values, owner = _parse(counts)
    starts = np.searchsorted(owner, np.arange(len(counts)))
    place = np.arange(len(values)) - starts[owner]
    _undo_differences(values, owner, place)
    ends = np.cumsum(values)
    sizes = np.diff(np.concatenate([[0], ends])[np.append(starts, len(values))])
    pixels = size_hw[0] * size_hw[1]
    negative = np.bincount(owner[values < 0], minlength=len(counts)) > 0
    for index in np.flatnonzero((sizes != pixels) | negative):
        raise ValueError(
            f"mask {index}: its run lengths cover {sizes[index]} pixels, the image has "
            f"{size_hw[0]} x {size_hw[1]} = {pixels}"
        )
    kept = (place % 2 == 1) & (values > 0)
    start = ends - values - pixels * owner
    return _merged(len(counts), owner[kept], start[kept], values[kept])


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


def label_map_runs(labels: Int[np.ndarray, "h w"]) -> tuple[Int64[np.ndarray, " n"], Runs]:
    """Return the non-zero labels, ascending, and the runs of the mask of each."""
    flat = labels.T.ravel()
    start = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    length = np.diff(np.append(start, flat.size))
    kept = flat[start] != 0
    start, length = start[kept], length[kept]
    ids, mask = np.unique(flat[start], return_inverse=True)
    order = np.argsort(mask, kind="stable")
    runs = Runs(len(ids), mask[order].astype(np.int64), start[order], length[order])
    return ids.astype(np.int64), runs


def component_runs(
    runs: Runs, size_hw: tuple[int, int], *, min_area: int
) -> tuple[Runs, Int64[np.ndarray, " m"]]:
    """Return the 4-connected components of at least `min_area` pixels, and the mask of each.

    They come mask by mask, in row-major order of their first pixels.
    """
    height, width = size_hw
    cut = _cut_at_columns(runs, height)
    component = _connected(cut, height, width)
    number = int(component.max(initial=-1)) + 1
    area = np.bincount(component, weights=cut.length, minlength=number)
    row_major = cut.start % height * width + cut.start // height
    first = np.full(number, height * width)
    np.minimum.at(first, component, row_major)
    owner = np.zeros(number, np.int64)
    owner[component] = cut.mask
    order = np.lexsort((first, owner))
    order = order[area[order] >= min_area]
    rank = np.full(number, -1)
    rank[order] = np.arange(len(order))
    mask = rank[component]
    by_mask = np.argsort(mask, kind="stable")
    by_mask = by_mask[mask[by_mask] >= 0]
    return (
        _merged(len(order), mask[by_mask], cut.start[by_mask], cut.length[by_mask]),
        owner[order],
    )


def boxes_xywh(runs: Runs, size_hw: tuple[int, int]) -> Int64[np.ndarray, "n 4"]:
    """Return the tight box of each mask, 0, 0, 0, 0 of an empty one."""
    height, _ = size_hw
    cut = _cut_at_columns(runs, height)
    columns, rows = cut.start // height, cut.start % height
    low = np.full((runs.number, 2), max(size_hw))
    high = np.zeros((runs.number, 2), np.int64)
    for axis, (begin, end) in enumerate(((columns, columns + 1), (rows, rows + cut.length))):
        np.minimum.at(low[:, axis], cut.mask, begin)
        np.maximum.at(high[:, axis], cut.mask, end)
    low = np.minimum(low, high)
    return np.concatenate([low, high - low], axis=1)


def nesting_parents(
    counts: Sequence[str],
    size_hw: tuple[int, int],
    area: Int64[np.ndarray, " n"],
    *,
    containment: float,
) -> list[int | None]:
    """Return for each mask the index of the smallest strictly larger mask that contains it.

    A mask is contained when at least `containment` of its pixels lie in the other. Equal areas
    never nest, so that the relation has no cycles; ties in area go to the lower index.
    """
    order = np.argsort(area, kind="stable")
    coded = [string.encode("ascii") for string in counts]
    rles = [{"size": list(size_hw), "counts": coded[i]} for i in order.tolist()]
    ranked = area[order]
    parents = np.full(len(counts), -1)
    for begin in range(0, len(counts), _BLOCK):
        larger = slice(begin, begin + _BLOCK)
        open_ = np.flatnonzero((parents < 0) & (ranked > 0) & (ranked < ranked[larger][-1]))
        if len(open_) == 0:
            continue
        share = _shares([rles[i] for i in open_], rles[larger])
        shared = np.rint(share * ranked[open_, None])  # exact: integers below 2**53
        inside = shared >= containment * ranked[open_, None]
        inside &= ranked[open_, None] < ranked[None, larger]
        found = inside.any(axis=1)
        parents[open_[found]] = begin + inside.argmax(axis=1)[found]
    result: list[int | None] = [None] * len(counts)
    for rank in np.flatnonzero(parents >= 0):
        result[int(order[rank])] = int(order[parents[rank]])
    return result


def _shares(masks: list[dict], others: list[dict]) -> Float64[np.ndarray, "n m"]:
    """Return which part of each mask lies in each of the others (COCO's IoU with a crowd)."""
    found = coco.iou(masks, others, [1] * len(others))  # pyright: ignore[reportArgumentType]
    return np.asarray(found, np.float64).reshape(len(masks), len(others))


def _connected(cut: Runs, height: int, width: int) -> Int64[np.ndarray, " r"]:
    """Return the component of each run, given runs that stay in one column."""
    begin = cut.mask * (height * width) + cut.start
    end = begin + cut.length
    to_next = np.flatnonzero(cut.start // height < width - 1)
    first = np.searchsorted(end, begin[to_next] + height, side="right")
    last = np.searchsorted(begin, end[to_next] + height, side="left")
    touching = np.maximum(last - first, 0)
    left = np.repeat(to_next, touching)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(touching) - touching, touching)
    right = np.repeat(first, touching) + offset
    number = len(cut.start)
    graph = sparse.coo_array((np.ones(len(left), np.int8), (left, right)), shape=(number, number))
    return csgraph.connected_components(graph, directed=False)[1].astype(np.int64)


def _cut_at_columns(runs: Runs, height: int) -> Runs:
    """Return the runs cut where one column ends and the next begins."""
    first, last = runs.start // height, (runs.start + runs.length - 1) // height
    pieces = last - first + 1
    index = np.repeat(np.arange(len(pieces)), pieces)
    column = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = np.maximum(runs.start[index], column * height)
    end = np.minimum((runs.start + runs.length)[index], (column + 1) * height)
    return Runs(runs.number, runs.mask[index], start, end - start)


def _merged(
    number: int,
    mask: Int64[np.ndarray, " r"],
    start: Int64[np.ndarray, " r"],
    length: Int64[np.ndarray, " r"],
) -> Runs:
    """Return runs of which no two touch."""
    new = np.ones(len(mask), bool)
    new[1:] = (mask[1:] != mask[:-1]) | (start[1:] != start[:-1] + length[:-1])
    begins = np.flatnonzero(new)
    total = np.add.reduceat(length, begins) if len(begins) else length
    return Runs(number, mask[begins], start[begins], total)


def _parse(counts: Sequence[str]) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " v"]]:
    """Return the numbers in the strings as they are coded, and the string of each.

    The format is pycocotools': 5 bits a character with a continuation bit, offset 48, sign in the
    highest bit of a number's last character.
    """
    text = "".join(counts).encode("utf-8")  # what is not ASCII has bytes above every code
    chunk = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if ((chunk < 0) | (chunk > 63)).any():
        raise ValueError("run lengths hold a character that is not COCO's coding")
    ends_text = np.cumsum([len(one) for one in counts], dtype=np.int64)
    last = (chunk & 32) == 0
    if not last[[end - 1 for end in ends_text if end > 0]].all():
        raise ValueError("run lengths end in the middle of a number")
    ends = np.flatnonzero(last)
    begins = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    digits = ends - begins + 1
    if digits.max(initial=0) > 8:
        raise ValueError("run lengths hold a number above 2**39")
    shift = 5 * (np.arange(len(chunk)) - np.repeat(begins, digits))
    values = np.add.reduceat((chunk & 31) << shift, begins) if len(begins) else chunk
    values -= np.where(chunk[ends] & 16, 1 << (5 * digits), 0)
    return values, np.searchsorted(ends_text, ends, side="right").astype(np.int64)


def _undo_differences(
    values: Int64[np.ndarray, " v"], owner: Int64[np.ndarray, " v"], place: Int64[np.ndarray, " v"]
) -> None:
    """Add to each number from a string's fourth on the one two before it, in place."""
    chain = np.where(place == 0, 0, 2 - place % 2)  # the first number is in no chain
    order = np.lexsort((place, chain, owner))
    total = np.cumsum(values[order])
    key = 3 * owner[order] + chain[order]
    new = np.diff(key, prepend=-1) != 0
    begins = np.flatnonzero(new)
    before = np.concatenate([[0], total])[begins]
    values[order] = total - before[np.cumsum(new) - 1]


def _write(
    values: Int64[np.ndarray, " v"], owner: Int64[np.ndarray, " v"], number: int
) -> list[str]:
    """Return the strings of the numbers of each owner, pycocotools' coding."""
    starts = np.searchsorted(owner, np.arange(number))
    place = np.arange(len(values)) - starts[owner]
    coded = values.copy()
    far = np.flatnonzero(place > 2)
    coded[far] -= values[far - 2]
    limits = 1 << (5 * np.arange(1, 9) - 1)
    digits = 1 + ((coded[:, None] >= limits) | (coded[:, None] < -limits)).sum(axis=1)
    index = np.repeat(np.arange(len(coded)), digits)
    digit = np.arange(len(index)) - np.repeat(np.cumsum(digits) - digits, digits)
    chunk = (coded[index] >> (5 * digit)) & 31
    chunk |= np.where(digit < digits[index] - 1, 32, 0)
    text = (chunk + 48).astype(np.uint8).tobytes().decode("ascii")
    ends = np.concatenate([[0], np.cumsum(digits)])
    ends = ends[np.append(starts, len(values))]
    return [text[a:b] for a, b in pairwise(ends.tolist())]
