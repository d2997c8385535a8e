"""Regions as polygons on the edges of pixels: no gap between neighbours, no overlap, holes kept.

Input: a label map. Idea: every side of a pixel beside another label is a directed edge, with the
pixel on its right (x to the right, y down); what follows an edge is decided by the two pixels ahead
of it. Steps:

1. all edges at once, and the edge that follows each: where two pixels of a region touch at a corner
   alone the ring stays with its pixel, so that rings belong to 4-connected parts;
2. where a ring meets itself at such a corner it is parted there: no ring passes a corner twice, as
   GeoJSON asks for;
3. the rings are walked (`kernels.cycles`); corners stay where a ring turns or three regions meet;
4. a hole belongs to the ring that is met first to the left of its leftmost edge, or to that one's
   outer ring.

Cost: O(pixels) to find the edges, O(e log e) for e of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64

from maskspace.kernels.cycles import cycles

#: Sides of a pixel in turn: top, right, bottom, left. Along each, the step (row, column) ahead.
_AHEAD = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
#: The step (row, column) across each side, to the outside.
_ACROSS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
#: Where a side begins, from the pixel's upper left corner: (column, row).
_BEGIN_XY = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


@dataclass(frozen=True, eq=False)
class Rings:
    """The outlines of regions, by label; of each part the outer ring comes first, then its holes.

    Corners are whole numbers: (0, 0) is the upper left corner of the image, (width, height) the
    lower right one. Outer rings have a positive area, holes a negative one (x to the right, y down:
    outer rings run clockwise on a screen), so that areas add up to pixels.

    Args:
        corners_xy: the corners of all rings, each once.
        starts: ring r has the corners `starts[r]` to `starts[r + 1] - 1`.
        labels: the label of each ring.
        is_outer: whether a ring is the outer one of a part, not a hole.

    Example:
        >>> rings = trace_rings(np.array([[7, 7, 0]]))
        >>> rings.corners_xy.tolist(), rings.labels.tolist()
        ([[0, 0], [2, 0], [2, 1], [0, 1]], [7])
    """

    corners_xy: Int64[np.ndarray, "v 2"]
    starts: Int64[np.ndarray, " r_plus_1"]
    labels: Int64[np.ndarray, " r"]
    is_outer: Bool[np.ndarray, " r"]

    def areas(self) -> Int64[np.ndarray, " r"]:
        """Return the signed area of each ring, in pixels.

        Example:
            >>> ring_of_ones = np.pad(np.zeros((1, 2), int), 1, constant_values=1)
            >>> trace_rings(ring_of_ones).areas().tolist()
            [12, -2]
        """
        return _signed_areas(self.corners_xy, self.starts)

    def regions(self) -> Iterator[tuple[int, list[list[Int64[np.ndarray, "_ 2"]]]]]:
        """Yield each label with its parts; a part is its outer ring and its holes.

        Example:
            >>> rings = trace_rings(np.array([[1, 2, 1]]))
            >>> [(label, len(parts)) for label, parts in rings.regions()]
            [(1, 2), (2, 1)]
        """
        parts: list[list[Int64[np.ndarray, "_ 2"]]] = []
        for ring, (label, is_outer) in enumerate(
            zip(self.labels.tolist(), self.is_outer.tolist(), strict=True)
        ):
            corners = self.corners_xy[self.starts[ring] : self.starts[ring + 1]]
            if is_outer:
                parts.append([corners])
            else:
                parts[-1].append(corners)
            if ring + 1 == len(self.labels) or self.labels[ring + 1] != label:
                yield label, parts
                parts = []


def trace_rings(labels: Int[np.ndarray, "h w"]) -> Rings:
    """Return the outlines of the labels of a map; 0 is no region.

    Where two regions are neighbours both have the same corners along their common border.

    Example:
        >>> [ring.tolist() for _, parts in trace_rings(np.array([[1, 2]])).regions()
        ...  for part in parts for ring in part]
        [[[0, 0], [1, 0], [1, 1], [0, 1]], [[1, 0], [2, 0], [2, 1], [1, 1]]]
    """
    edges = _edges(labels)
    side, row, column = edges.side, edges.row, edges.column
    if len(side) == 0:
        nothing = np.zeros(0, np.int64)
        return Rings(nothing.reshape(0, 2), np.zeros(1, np.int64), nothing, nothing.astype(bool))
    order, ring = _walked(_following(edges, labels))
    before = np.roll(order, 1)
    is_first = np.diff(ring[order], prepend=-1) != 0
    last = np.append(np.flatnonzero(is_first)[1:], len(order)) - 1
    before[is_first] = order[last]
    side_before = np.empty(len(order), np.int64)
    side_before[order] = side[before]
    corner_xy = np.stack([column, row], 1) + _BEGIN_XY[side]
    is_kept = (side != side_before) | _are_junctions(labels, corner_xy)
    walked = order[is_kept[order]]
    starts = np.searchsorted(ring[walked], np.arange(ring.max() + 2))
    areas = _signed_areas(corner_xy[walked], starts)
    own = labels[row, column][order[is_first]].astype(np.int64)
    found = Rings(corner_xy[walked], starts, own, areas > 0)
    return _ordered(found, _owners(edges, ring, found.is_outer))


@dataclass(frozen=True)
class _Edges:
    """Sides of pixels beside another label, by side, then row, then column."""

    side: Int64[np.ndarray, " e"]
    row: Int64[np.ndarray, " e"]
    column: Int64[np.ndarray, " e"]
    codes: Int64[np.ndarray, " e"]
    size_hw: tuple[int, int]

    def index(
        self,
        side: Int64[np.ndarray, " k"],
        row: Int64[np.ndarray, " k"],
        column: Int64[np.ndarray, " k"],
    ) -> Int64[np.ndarray, " k"]:
        """Return the number of each edge; of the last before it where there is none."""
        height, width = self.size_hw
        code = (side * height + row) * width + column
        return np.searchsorted(self.codes, code, side="right") - 1


def _edges(labels: Int[np.ndarray, "h w"]) -> _Edges:
    height, width = labels.shape
    inside, codes = labels != 0, []
    for side in range(4):
        is_edge = inside.copy()
        if side % 2 == 0:
            part = is_edge[1:] if side == 0 else is_edge[:-1]
            part &= labels[1:] != labels[:-1]
        else:
            part = is_edge[:, :-1] if side == 1 else is_edge[:, 1:]
            part &= labels[:, 1:] != labels[:, :-1]
        codes.append(np.flatnonzero(is_edge) + side * labels.size)
    code = np.concatenate(codes)
    side, pixel = np.divmod(code, max(1, labels.size))
    row, column = np.divmod(pixel, max(1, width))
    return _Edges(side, row, column, code, (height, width))


def _following(edges: _Edges, labels: Int[np.ndarray, "h w"]) -> Int64[np.ndarray, " e"]:
    """Return the edge after each: to the right, straight on, or to the left around a corner."""
    side, row, column = edges.side, edges.row, edges.column
    own = labels[row, column]
    ahead = row + _AHEAD[side, 0], column + _AHEAD[side, 1]
    beyond = ahead[0] + _ACROSS[side, 0], ahead[1] + _ACROSS[side, 1]
    is_ahead, is_beyond = _at(labels, *ahead) == own, _at(labels, *beyond) == own
    right = edges.index((side + 1) % 4, row, column)
    straight = edges.index(side, *ahead)
    left = edges.index((side - 1) % 4, *beyond)
    following = np.where(is_ahead, np.where(is_beyond, left, straight), right)
    _, ring = _walked(following)
    meets_itself = ~is_ahead & is_beyond
    meets_itself[meets_itself] = (ring[left] == ring)[meets_itself]
    return np.where(meets_itself, left, following)


def _at(
    labels: Int[np.ndarray, "h w"], row: Int64[np.ndarray, " k"], column: Int64[np.ndarray, " k"]
) -> Int[np.ndarray, " k"]:
    """Return the labels of pixels, 0 outside of the image."""
    height, width = labels.shape
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(is_inside, labels[row.clip(0, height - 1), column.clip(0, width - 1)], 0)


def _walked(
    following: Int64[np.ndarray, " e"],
) -> tuple[Int64[np.ndarray, " e"], Int64[np.ndarray, " e"]]:
    """Return the edges ring by ring, and the ring of each edge."""
    order, ring = np.empty_like(following), np.empty_like(following)
    cycles(following, order, ring)
    return order, ring


def _are_junctions(
    labels: Int[np.ndarray, "h w"], corner_xy: Int64[np.ndarray, "e 2"]
) -> Bool[np.ndarray, " e"]:
    """Return whether three borders or more meet at each corner of pixels."""
    around = [
        _at(labels, corner_xy[:, 1] + down, corner_xy[:, 0] + along)
        for down, along in ((-1, -1), (-1, 0), (0, 0), (0, -1))
    ]
    borders = sum((around[place] != around[place - 1]).astype(int) for place in range(4))
    return np.asarray(borders) >= 3


def _owners(
    edges: _Edges, ring: Int64[np.ndarray, " e"], is_outer: Bool[np.ndarray, " r"]
) -> Int64[np.ndarray, " r"]:
    """Return the outer ring of each ring's part.

    A hole's leftmost edge is the right side of a pixel. To the left of that pixel, in its row, is
    the left side of another one: it lies on a ring of the same part whose leftmost edge is farther
    left, so that the way from ring to ring ends, at an outer one.
    """
    owner = np.arange(len(is_outer))
    right = np.flatnonzero(edges.side == 1)
    right = right[np.lexsort((edges.column[right], ring[right]))]
    holes, first = np.unique(ring[right], return_index=True)
    is_hole = ~is_outer[holes]
    holes, pixel = holes[is_hole], right[first[is_hole]]
    met = edges.index(np.full(len(pixel), 3), edges.row[pixel], edges.column[pixel])
    owner[holes] = ring[met]
    while True:
        farther = owner[owner]
        if (farther == owner).all():
            return owner
        owner = farther


def _ordered(rings: Rings, owners: Int64[np.ndarray, " r"]) -> Rings:
    """Return the rings by label and part, outer ones first."""
    order = np.lexsort((~rings.is_outer, owners, rings.labels))
    lengths = np.diff(rings.starts)[order]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    corners = np.arange(starts[-1]) + np.repeat(rings.starts[order] - starts[:-1], lengths)
    return Rings(rings.corners_xy[corners], starts, rings.labels[order], rings.is_outer[order])


def _signed_areas(
    corners_xy: Int64[np.ndarray, "v 2"], starts: Int64[np.ndarray, " r_plus_1"]
) -> Int64[np.ndarray, " r"]:
    following = np.arange(1, len(corners_xy) + 1)
    following[starts[1:] - 1] = starts[:-1]
    x, y = corners_xy.T
    total = np.concatenate([[0], np.cumsum(x * y[following] - x[following] * y)])
    return (total[starts[1:]] - total[starts[:-1]]) // 2
