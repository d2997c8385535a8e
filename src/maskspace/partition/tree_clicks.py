"""Clicks on a merge tree: each click corrects the mask of the clicks before it.

Input: a merge tree, clicks in the order in which they were made, and the mask they start from.
Idea: who clicks on a mask clicks near the middle of what is wrong with it. The first click lies in
the middle of the object that is meant, a later one in the middle of what is missing or too much.

Steps, for one click on a mask:
1. every node over the click is a candidate; it would change the pixels R of the node that are not
   in the mask (a positive click), or those that are (a negative one);
2. an R that holds an earlier click of the other sign is left out: that click stays true;
3. the R of the highest score is added to the mask or taken away from it:

       score = log(p + 0.001) + 3 log r - max(0, log(d / d')),

   where p is the node's persistence, d the depth of the click in R, r that depth as a share of R's
   greatest, in (0, 1], and d' the depth that the click before had in what it changed: who corrects
   begins with the largest error. The first click may lie anywhere: for it r is (r + 0.1) / 1.1.
4. if no candidate is left, because the superpixel itself holds clicks of both signs, those of its
   pixels change that are nearer to this click than to any of the other sign.

Cost: nodes are tried by falling persistence until none can be better, about ten of them; depths
are computed at 256 pixels a side at most.

Why the depth counts: by persistence alone the mean IoU of the student on GrabCut's images and on
regions of BSDS500 falls at some of the clicks; with it, it rises at every one
(benchmarks/results/2026-12-01-clicks.md).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from maskspace.masks import enlarge, reduce
from maskspace.partition.merge_tree import MergeTree
from maskspace.types import Click

DEPTH_POWER = 3.0
LEAST_PERSISTENCE = 1e-3
#: How far from the middle the first click may lie: what is added to the share of the depth.
FIRST_CLICK_SLACK = 0.1
#: Depths are computed on every second, third, ... pixel of what is longer than this.
DEPTH_SIDE = 256


def click_mask(
    tree: MergeTree,
    clicks: Sequence[Click],
    *,
    start: Bool[np.ndarray, "h w"] | None = None,
) -> Bool[np.ndarray, "h w"]:
    """Return the mask that clicks describe, in the order in which they were made.

    At each click the mask is what the click says, unless a later click of the other sign is on the
    same pixel of the tree's working resolution. A positive click only adds pixels, a negative one
    only takes some away, and one on a pixel that is right already changes nothing.

    Args:
        tree: the image's merge tree.
        clicks: pixels of the image; any number, none gives the start mask.
        start: the mask that the first click corrects, of the image's size (default None: empty).

    Raises ValueError for a click outside the image and a start mask of another size.

    Example:
        >>> tree = MergeTree(
        ...     superpixels=np.array([[1, 2, 3]], np.int32),
        ...     merges=np.array([[0, 1], [2, 3]]),  # the first two, then the rest
        ...     heights=np.array([0.2, 0.7], np.float32),
        ...     size_hw=(1, 3),
        ... )
        >>> click_mask(tree, [Click(0, 0)]).astype(int).tolist()
        [[1, 1, 0]]
        >>> click_mask(tree, [Click(0, 0), Click(1, 0, positive=False)]).astype(int).tolist()
        [[1, 0, 0]]
    """
    if start is not None and start.shape != tree.size_hw:
        raise ValueError(f"the start mask is {start.shape}, the image {tree.size_hw}")
    first = _at_working_size(start, tree, clicks)
    mask = first.copy()
    last_depth = math.inf
    for number, click in enumerate(clicks):
        slack = FIRST_CLICK_SLACK if number == 0 and start is None else 0.0
        change = _change(mask, tree, click, clicks[:number], slack=slack, last_depth=last_depth)
        if change is not None:
            mask[change.pixels], last_depth = click.positive, change.depth
    if start is None:
        return enlarge(mask, tree.size_hw)
    added, removed = (enlarge(part, tree.size_hw) for part in (mask & ~first, first & ~mask))
    return (start | added) & ~removed


@dataclass(frozen=True)
class _Change:
    """The pixels that a click changes, and its depth in them, in pixels."""

    pixels: Bool[np.ndarray, "r s"]
    depth: float


def _change(
    mask: Bool[np.ndarray, "r s"],
    tree: MergeTree,
    click: Click,
    earlier: Sequence[Click],
    *,
    slack: float,
    last_depth: float,
) -> _Change | None:
    """Return what a click changes in a mask at the tree's working resolution; None for nothing."""
    place = tree.working_yx(click.x, click.y)
    if mask[place] == click.positive:
        return None
    others = [tree.working_yx(c.x, c.y) for c in earlier if c.positive != click.positive]
    others = [other for other in others if other != place]
    best, best_score = None, -math.inf
    for pixels, persistence in _candidates(tree, click):
        most = math.log(persistence + LEAST_PERSISTENCE)
        if most <= best_score:
            break  # the persistence of all that follow is lower still
        change = pixels & (mask != click.positive)
        if any(change[other] for other in others):
            continue
        depth, greatest = _depths(change, place)
        centrality = (depth / greatest + slack) / (1 + slack)
        growth = max(0.0, math.log(depth) - math.log(last_depth))
        score = most + DEPTH_POWER * math.log(centrality) - growth
        if score > best_score:
            best, best_score = _Change(change, depth), score
    if best is None:
        shared = tree.pixels_of(tree.path(click.x, click.y)[0]) & (mask != click.positive)
        nearest = _nearest(shared, place, others)
        best = _Change(nearest, _depths(nearest, place)[0])
    return best


def _candidates(tree: MergeTree, click: Click) -> Iterator[tuple[Bool[np.ndarray, "r s"], float]]:
    """Yield the pixels and the persistence of the nodes over a click.

    The most persistent node comes first, of equal ones the largest.
    """
    nodes = np.array(tree.path(click.x, click.y))
    persistence = tree.persistence[nodes]
    for index in np.lexsort((-nodes, -persistence)).tolist():
        yield tree.pixels_of(int(nodes[index])), float(persistence[index])


def _depths(region: Bool[np.ndarray, "r s"], place: tuple[int, int]) -> tuple[float, float]:
    """Return the depth at a pixel of a region and the region's greatest depth, in pixels."""
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    inside = region[top : rows[-1] + 1, left : columns[-1] + 1]
    step = math.ceil(max(inside.shape) / DEPTH_SIDE)
    row, column = place[0] - top, place[1] - left
    inside = inside[row % step :: step, column % step :: step]  # the pixel itself is among them
    depths = np.asarray(ndimage.distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1]
    return step * float(depths[row // step, column // step]), step * float(depths.max())


def _nearest(
    region: Bool[np.ndarray, "r s"], place: tuple[int, int], others: Sequence[tuple[int, int]]
) -> Bool[np.ndarray, "r s"]:
    """Return the pixels of a region that are nearer to one place than to any other place."""
    rows, columns = np.indices(region.shape)
    distance, *rest = (
        (rows - row) ** 2 + (columns - column) ** 2 for row, column in (place, *others)
    )
    return region & np.all([distance < other for other in rest], axis=0)


def _at_working_size(
    start: Bool[np.ndarray, "h w"] | None, tree: MergeTree, clicks: Sequence[Click]
) -> Bool[np.ndarray, "r s"]:
    """Return a start mask at the tree's working resolution; under a click it is as at the click."""
    if start is None:
        return np.zeros(tree.superpixels.shape, bool)
    mask = reduce(start, tree.superpixels.shape).copy()
    for click in clicks:
        mask[tree.working_yx(click.x, click.y)] = start[click.y, click.x]
    return mask
