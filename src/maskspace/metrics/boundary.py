"""Boundary precision, recall and F: boundary pixels that find a partner within a tolerance.

D. Martin, C. Fowlkes, J. Malik, 2004, doi:10.1109/TPAMI.2004.1273918, pooled as the BSDS500
benchmark pools (P. Arbeláez et al., 2011, doi:10.1109/TPAMI.2010.161). The matching is one-to-one
and of the greatest size, by Hopcroft and Karp; the benchmark's own is of the least cost with a high
price on pixels left alone, which has the same size, but on a graph thinned at random. Boundaries
are those of regions, at most a pixel wide to the right and below; they are not thinned further.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

#: The benchmark's tolerance, as a share of the image's diagonal.
TOLERANCE = 0.0075


@dataclass(frozen=True, kw_only=True)
class BoundaryCounts:
    """Boundary pixels of one image and one scale; counts of images and annotators add up.

    A predicted pixel is matched if any annotator's pixel is its partner; true pixels are counted
    for every annotator.
    """

    matched_predicted: int
    predicted: int
    matched_true: int
    true: int


@dataclass(frozen=True, kw_only=True)
class BoundarySummary:
    """F of a data set: at the best scale for all images (ODS) and at that of each image (OIS)."""

    ods: float
    ois: float


def region_boundaries(labels: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return pixels whose label differs from that to the right, below, or to the lower right.

    The benchmark's rule for boundaries of the image's own size.
    """
    boundary = np.zeros(labels.shape, bool)
    boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    boundary[:-1] |= labels[:-1] != labels[1:]
    boundary[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
    return boundary


def boundary_counts(
    predicted: Bool[np.ndarray, "h w"],
    true: Sequence[Bool[np.ndarray, "h w"]],
    *,
    tolerance: float = TOLERANCE,
) -> BoundaryCounts:
    """Return the matches of boundary pixels with those of each annotator.

    `tolerance` is the greatest distance of partners as a share of the image's diagonal.
    """
    reach = tolerance * math.hypot(*predicted.shape)
    hit = np.zeros(predicted.shape, bool)
    matched_true = 0
    for one in true:
        partners = matched_pixels(predicted, one, reach=reach)
        hit |= partners
        matched_true += int(partners.sum())
    return BoundaryCounts(
        matched_predicted=int(hit.sum()),
        predicted=int(predicted.sum()),
        matched_true=matched_true,
        true=sum(int(one.sum()) for one in true),
    )


def matched_pixels(
    predicted: Bool[np.ndarray, "h w"], true: Bool[np.ndarray, "h w"], *, reach: float
) -> Bool[np.ndarray, "h w"]:
    """Return the predicted pixels with a partner in a largest one-to-one matching.

    Partners are at most `reach` pixels apart. As many true pixels have one.
    """
    matched = np.zeros(predicted.shape, bool)
    rows, columns = np.nonzero(predicted)
    number = np.cumsum(true).reshape(true.shape) - 1  # of each true pixel
    left, right = [], []
    for down, across in _offsets(reach):
        y, x = rows + down, columns + across
        inside = (y >= 0) & (y < true.shape[0]) & (x >= 0) & (x < true.shape[1])
        pixel = np.flatnonzero(inside)
        pixel = pixel[true[y[pixel], x[pixel]]]
        left.append(pixel)
        right.append(number[y[pixel], x[pixel]])
    edges = np.concatenate(left), np.concatenate(right)
    shape = (len(rows), int(true.sum()))
    if len(edges[0]) == 0:
        return matched
    graph = csr_array((np.ones(len(edges[0]), np.int8), edges), shape=shape)
    partner = maximum_bipartite_matching(graph, perm_type="column")
    matched[rows[partner >= 0], columns[partner >= 0]] = True
    return matched


def f_measure(counts: BoundaryCounts) -> float:
    """Return the harmonic mean of precision and recall in [0, 1]; 1 if there is no boundary."""
    if counts.predicted == 0 and counts.true == 0:
        return 1.0
    precision = counts.matched_predicted / max(counts.predicted, 1)
    recall = counts.matched_true / max(counts.true, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_f(
    predicted: Int[np.ndarray, "h w"],
    true: Sequence[Int[np.ndarray, "h w"]],
    *,
    tolerance: float = TOLERANCE,
) -> float:
    """Return F of the boundaries of a label map against those of several annotators' maps."""
    if not true:
        raise ValueError("no true label map given; boundaries need one or more")
    boundaries = [region_boundaries(one) for one in true]
    return f_measure(boundary_counts(region_boundaries(predicted), boundaries, tolerance=tolerance))


def boundary_summary(images: Sequence[Sequence[BoundaryCounts]]) -> BoundarySummary:
    """Return F at ODS and OIS of images, each with its counts by scale.

    Counts are summed over images before precision and recall are taken; OIS takes of each image
    those of the scale of its best F.
    """
    if len({len(scales) for scales in images}) != 1:
        raise ValueError("images without counts, or of different numbers of scales")
    by_scale = [pooled(scale) for scale in zip(*images, strict=True)]
    best = [max(scales, key=f_measure) for scales in images]
    return BoundarySummary(ods=max(map(f_measure, by_scale)), ois=f_measure(pooled(best)))


def pooled(counts: Sequence[BoundaryCounts]) -> BoundaryCounts:
    """Return the sums of counts."""
    return BoundaryCounts(
        matched_predicted=sum(one.matched_predicted for one in counts),
        predicted=sum(one.predicted for one in counts),
        matched_true=sum(one.matched_true for one in counts),
        true=sum(one.true for one in counts),
    )


def _offsets(reach: float) -> list[tuple[int, int]]:
    """Return the steps, down and across, that are no longer than `reach`."""
    side = int(reach)
    steps = range(-side, side + 1)
    return [(y, x) for y in steps for x in steps if y * y + x * x <= reach * reach]
