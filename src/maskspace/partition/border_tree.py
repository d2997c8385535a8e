"""The merge tree of border strength: two regions join when the mean strength of their border falls.

Input is a boundary map, at every pixel the share of people who see a border there, and, where the
network has one, a vector a cell whose L1 distance is the share of masks that separate two cells.
Superpixels are flooded from a grid of seeds (Cousty, Bertrand, Najman and Couprie 2009,
doi:10.1109/TPAMI.2008.173), so that their borders lie on the crests of the map. They are merged two
at a time, by average linkage as in ultrametric contour maps (Arbelaez et al. 2011,
doi:10.1109/TPAMI.2010.161): the cost of two regions is

    (w_b b + w_d min(d, 1)) (a / (a + g))^s,

b the mean of the map along their whole border, d the L1 distance of their mean vectors, a the area
of the smaller, g a fixed number of pixels. A background whose features drift is not cut in halves
before a faint object is found, as differences of mean features do: what counts is a border.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64

from maskspace.kernels.border_merges import border_merges
from maskspace.kernels.flooding import flood
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.superpixels import grid_seeds, row_major_labels

#: Whole numbers of cost that a border of strength 1 is worth in flooding.
LEVELS = 8191


@dataclass(frozen=True, kw_only=True)
class BorderRule:
    """The constants of the tree.

    border, distance: w_b and w_d, what the two strengths weigh.
    grain, smallness: g in pixels and s, how early specks join.
    cell: pixels a side of a seed's cell; smaller where that gives fewer than 1024 regions.
    compactness: strength that weighs as much as a cell of distance, for smooth borders where
        there is none in the map.
    """

    border: float = 0.7
    distance: float = 0.3
    grain: float = 64.0
    smallness: float = 0.5
    cell: float = 6.0
    compactness: float = 0.01


def border_tree(
    boundary: Float[np.ndarray, "h w"],
    vectors: Float[np.ndarray, "c i j"] | None = None,
    *,
    stride: int = 2,
    size_hw: tuple[int, int] | None = None,
    regions: int = 1024,
    rule: BorderRule | None = None,
) -> MergeTree:
    """Return the tree of a boundary map in [0, 1], of at least min(pixels, `regions`) superpixels.

    `vectors` are those of cells of `stride` pixels; `size_hw` is the image's size where the map has
    fewer rows and columns than it.
    """
    rule = rule or BorderRule()
    if boundary.size == 0 or not np.isfinite(boundary).all():
        raise ValueError("the boundary map is empty or not finite; was the model trained?")
    right = (boundary[:, 1:] + boundary[:, :-1]) * np.float32(0.5)
    down = (boundary[1:] + boundary[:-1]) * np.float32(0.5)
    labels = _flooded(boundary, right, down, regions=regions, rule=rule)
    pairs, lengths, sums = _borders(labels, right, down)
    leaves = int(labels.max())
    areas = np.zeros(2 * leaves - 1)
    areas[:leaves] = np.bincount(labels.ravel())[1:]
    held = np.zeros((2 * leaves - 1, 0 if vectors is None else len(vectors)), np.float32)
    if vectors is not None:
        held[:leaves] = _means(labels, vectors, stride=stride)
    merges, costs = np.empty((leaves - 1, 2), np.int64), np.empty(leaves - 1)
    weights = np.array(
        [rule.border, 0.0 if vectors is None else rule.distance, rule.grain, rule.smallness]
    )
    border_merges(pairs, lengths, sums, areas, held, weights, merges, costs)
    heights = np.clip(np.maximum.accumulate(costs), 0, 1).astype(np.float32)
    return MergeTree(
        superpixels=labels,
        merges=merges,
        heights=heights,
        size_hw=size_hw or (boundary.shape[0], boundary.shape[1]),
    )


def _flooded(
    boundary: Float[np.ndarray, "h w"],
    right: Float[np.ndarray, "h w_minus_1"],
    down: Float[np.ndarray, "h_minus_1 w"],
    *,
    regions: int,
    rule: BorderRule,
) -> Int32[np.ndarray, "h w"]:
    number = max(min(boundary.size, regions), round(boundary.size / rule.cell**2))
    seeds = grid_seeds(boundary, regions=number)
    labels = np.zeros(boundary.size, np.int32)
    side = (boundary.size / len(seeds)) ** 0.5
    # a seed reaches a few cells; what is further costs no more
    away = np.arange(int(4 * side) + 2) * (rule.compactness * LEVELS / side)
    flood(_levels(right), _levels(down), np.round(away).astype(np.int32), seeds, labels)
    return row_major_labels(labels).reshape(boundary.shape)


def _levels(strength: Float[np.ndarray, "r s"]) -> Int32[np.ndarray, "r s"]:
    return np.round(np.clip(strength, 0, 1) * LEVELS).astype(np.int32)


def _borders(
    labels: Int32[np.ndarray, "h w"],
    right: Float[np.ndarray, "h w_minus_1"],
    down: Float[np.ndarray, "h_minus_1 w"],
) -> tuple[Int64[np.ndarray, "e 2"], Float64[np.ndarray, " e"], Float64[np.ndarray, " e"]]:
    """Return the adjacent pairs by index, with length and summed strength of their borders."""
    index = labels.astype(np.int64) - 1
    number = int(labels.max())
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    strength = np.concatenate([right.ravel(), down.ravel()]).astype(np.float64)
    across = first != second
    first, second, strength = first[across], second[across], strength[across]
    code, inverse = np.unique(
        np.minimum(first, second) * number + np.maximum(first, second), return_inverse=True
    )
    lengths = np.bincount(inverse, minlength=len(code)).astype(np.float64)
    sums = np.bincount(inverse, weights=strength, minlength=len(code))
    return np.stack([code // number, code % number], axis=1), lengths, sums


def _means(
    labels: Int32[np.ndarray, "h w"], vectors: Float[np.ndarray, "c i j"], *, stride: int
) -> Float32[np.ndarray, "k c"]:
    """Return the mean vector of each superpixel over its cells; of one without any, the nearest's.

    A pixel's cell is the one whose centre, the pixel `stride` i, is nearest.
    """
    rows, columns = (
        np.minimum((np.arange(side) + stride // 2) // stride, cells - 1)
        for side, cells in zip(labels.shape, vectors.shape[1:], strict=True)
    )
    index = labels.ravel() - 1
    areas = np.bincount(index)
    means = [
        np.bincount(index, weights=channel[rows][:, columns].ravel()) / areas for channel in vectors
    ]
    return np.stack(means, axis=1).astype(np.float32)
