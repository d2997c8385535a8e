"""The merge tree of border strength: two regions join when the mean strength of their border falls.

Input: a boundary map, at every pixel the share of people who see a border there; and, where the
network has one, a vector a cell, whose L1 distance is the share of masks that separate two cells.
Idea: what counts between two regions is the border, not how far their means are apart: a background
whose features drift is not cut in halves before a faint object is found.

Steps:
1. superpixels are flooded from a grid of seeds (Cousty, Bertrand, Najman and Couprie 2009,
   doi:10.1109/TPAMI.2008.173), so that their borders lie on the crests of the map;
2. they are merged two at a time, the pair of least cost first, by average linkage as in ultrametric
   contour maps (Arbelaez et al. 2011, doi:10.1109/TPAMI.2010.161).

The cost of two regions is

    (w_b b + w_d min(d, 1)) (a / (a + g))^s,

where b is the mean of the map along their whole border, d the L1 distance of their mean vectors, a
the area of the smaller region, and g a fixed number of pixels. Where the superpixels are fewer than
the regions that may be asked for, each is cut into pieces that join at height 0. Smaller cells of
seeds are no way to get more: some would lie on the crests, and crests would become regions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int32, Int64
from torch import Tensor

from maskspace.config import build_section, section
from maskspace.heads import levels_of
from maskspace.kernels.border_merges import border_merges
from maskspace.kernels.flooding import flood
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.node_ranks import NodeShapes, node_ranks
from maskspace.partition.region_graph import (
    RegionGraph,
    graph_of_steps,
    nearest_cells,
    region_means,
)
from maskspace.partition.superpixels import equal_components, grid_seeds, row_major_labels

#: The most seeds: of images above 19 megapixels, with cells of 6 pixels, cells are larger, so that
#: graph and tree stay of one size. At 100 megapixels a cell has 14 pixels a side.
MOST_CELLS = 2**19
#: Flooding counts costs in whole numbers; a border of strength 1 has this cost.
LEVELS = 8191


@section
class BorderRule:
    """The constants of the tree; those that are fitted are fitted on training photos.

    Args:
        border: weight w_b of the strength of the border (default 0.7).
        distance: weight w_d of the distance of the vectors (default 0.3).
        grain: g, in pixels; regions that are small against it join early (default 1000).
        smallness: exponent s; the larger, the earlier small regions join (default 0.5).
        cell: side of a seed's cell, in pixels (default 6).
        compactness: border strength that weighs as much as a cell of distance, for smooth borders
            where the map has none (default 0.01).
        costs: ascending costs of a table (default: no table, a height is the cost).
        shares: for each of `costs` the share of people who see such a border; heights between are
            interpolated.
        ranking: weights of `node_ranks` (default: none, nodes are ranked by persistence).

    Raises ValueError for a table that falls or is incomplete.

    Example:
        >>> rule = BorderRule(costs=(0.0, 0.5, 1.0), shares=(0.0, 0.25, 1.0))
        >>> rule.heights(np.array([0.5, 0.25, 0.75])).tolist()  # a height never falls
        [0.25, 0.25, 0.625]
    """

    border: float = 0.7
    distance: float = 0.3
    grain: float = 1000.0
    smallness: float = 0.5
    cell: float = 6.0
    compactness: float = 0.01
    costs: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    ranking: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a table of heights that falls."""
        steps = [*np.diff(self.costs), *np.diff(self.shares)]
        if len(self.costs) != len(self.shares) or any(step < 0 for step in steps):
            raise ValueError("costs and shares are as many as each other, and do not fall")

    def heights(self, costs: Float64[np.ndarray, " m"]) -> Float32[np.ndarray, " m"]:
        """Return the heights of merges: their costs, made never to fall, as shares of people."""
        raised = np.clip(np.maximum.accumulate(costs), 0, 1)
        if self.costs:
            raised = np.interp(raised, self.costs, self.shares)
        return raised.astype(np.float32)


def read_rule(options: Mapping[str, object]) -> BorderRule:
    """Return a rule given as plain values; ValueError in one line for a wrong option.

    Example:
        >>> read_rule({"cell": 8.0}).cell
        8.0
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return build_section(BorderRule, values, place="border_tree")


@dataclass(frozen=True, kw_only=True)
class BorderMerging:
    """How k superpixels of an image merge into one region, before costs become heights.

    Args:
        graph: the superpixels and their borders; a border inside a piece that was cut to have
            enough superpixels has strength 0.
        merges: the two nodes that each merge joins; nodes are superpixels first, then merges in
            order.
        costs: costs of the merges in the order in which they were made; a cost may be below the one
            before.
        areas: pixels of each node.
        outlines: length and summed strength of each node's border.

    Example:
        >>> borders = np.zeros((16, 32), np.float32)
        >>> borders[:, 16] = 1  # one strong border
        >>> merging = merge_borders(borders, rule=BorderRule(), regions=16)
        >>> merging.tree(BorderRule()).partition(2)[0, ::8].tolist()
        [1, 1, 1, 2]
    """

    graph: RegionGraph
    merges: Int64[np.ndarray, "m 2"]
    costs: Float64[np.ndarray, " m"]
    areas: Float64[np.ndarray, " n"]
    outlines: Float64[np.ndarray, "n 2"]

    def shapes(self, rule: BorderRule) -> NodeShapes:
        """Return what is known of the nodes, with a rule's heights."""
        return NodeShapes(
            merges=self.merges,
            heights=rule.heights(self.costs),
            areas=self.areas,
            outlines=self.outlines,
        )

    def tree(self, rule: BorderRule, *, size_hw: tuple[int, int] | None = None) -> MergeTree:
        """Return the tree with a rule's heights and ranks; `size_hw` is the image's own size."""
        shapes = self.shapes(rule)
        graph = self.graph if size_hw is None else replace(self.graph, size_hw=size_hw)
        return MergeTree(
            superpixels=graph.superpixels,
            merges=self.merges,
            heights=shapes.heights,
            size_hw=graph.size_hw,
            ranks=node_ranks(shapes, rule.ranking) if rule.ranking else None,
            graph=graph,
        )


def merge_borders(
    boundary: Float[np.ndarray, "h w"],
    vectors: Float[np.ndarray, "c i j"] | None = None,
    *,
    stride: int = 2,
    regions: int = 1024,
    rule: BorderRule,
) -> BorderMerging:
    """Return the merges of the superpixels of a boundary map, cheapest pair first.

    Args:
        boundary: share in [0, 1] of people who see a border at each pixel.
        vectors: a vector for each cell of `stride` pixels (default None: borders alone count).
        stride: side of a cell, in pixels (default 2).
        regions: there are at least min(pixels, `regions`) superpixels (default 1024).
        rule: the constants.

    Raises ValueError for a map that is empty or not finite.

    Example:
        >>> boundary = np.zeros((16, 32), np.float32)
        >>> boundary[:, 16] = 1  # one strong border
        >>> merging = merge_borders(boundary, rule=BorderRule(), regions=16)
        >>> merging.graph.superpixels.max().item(), len(merging.merges)
        (30, 29)
        >>> merging.costs.argmax().item()  # the halves are merged last
        28
    """
    if boundary.size == 0 or not np.isfinite(boundary).all():
        raise ValueError("the boundary map is empty or not finite; was the model trained?")
    right = (boundary[:, 1:] + boundary[:, :-1]) * np.float32(0.5)
    down = (boundary[1:] + boundary[:-1]) * np.float32(0.5)
    steps = _steps(right, down, vectors, stride=stride, rule=rule)
    coarse = _flooded(boundary, *steps, number=_cells(boundary, rule), rule=rule)
    labels = coarse
    least_number = min(boundary.size, regions)
    if coarse.max() < least_number:
        fine = _flooded(boundary, *steps, number=least_number, rule=rule)
        labels = equal_components(coarse * (fine.max() + 1) + fine)
    right, down = (
        np.where(is_same, 0, strength)
        for is_same, strength in (
            (coarse[:, 1:] == coarse[:, :-1], right),
            (coarse[1:] == coarse[:-1], down),
        )
    )
    graph = graph_of_steps(labels, vectors, right, down, stride=stride)
    pairs, lengths, sums = graph.pairs.copy(), graph.lengths.copy(), graph.sums.copy()
    leaves = len(graph.areas)
    areas = np.zeros(2 * leaves - 1)
    areas[:leaves] = graph.areas
    means = np.zeros((2 * leaves - 1, graph.means.shape[1]), np.float32)
    means[:leaves] = graph.means
    if vectors is not None and labels is not coarse:  # pieces join at height 0
        first = np.unique(labels, return_index=True)[1]
        whole = region_means(coarse, vectors, stride=stride)
        means[:leaves] = whole[coarse.ravel()[first] - 1]
    merges, costs = np.empty((leaves - 1, 2), np.int64), np.empty(leaves - 1)
    outlines = np.zeros((2 * leaves - 1, 2))
    for column, values in enumerate((lengths, sums)):
        outlines[:leaves, column] = np.bincount(
            pairs.ravel(), weights=values.repeat(2), minlength=leaves
        )
    weights = np.array(
        [rule.border, 0.0 if vectors is None else rule.distance, rule.grain, rule.smallness]
    )
    border_merges(pairs, lengths, sums, areas, means, outlines, weights, merges, costs)
    return BorderMerging(graph=graph, merges=merges, costs=costs, areas=areas, outlines=outlines)


def tree_of_outputs(
    outputs: Mapping[str, Tensor],
    rule: BorderRule,
    *,
    size_hw: tuple[int, int] | None = None,
    regions: int = 1024,
) -> MergeTree:
    """Return the border tree of a network's outputs for one image.

    Without `boundary`, the strength of a border is the distance of the level's vectors across it.

    Args:
        outputs: `boundary` (logits), an embedding level, or both.
        rule: the constants.
        size_hw: rows and columns of the image, if they are more than the map's (default None: the
            map's).
        regions: the tree has at least min(pixels, `regions`) superpixels (default 1024).

    Raises ValueError where the outputs have neither.

    Example:
        >>> boundary = torch.full((1, 32, 32), -8.0)  # logits: nobody sees a border
        >>> boundary[:, :, 16] = 8.0  # but in one column, where everybody does
        >>> tree = tree_of_outputs({"boundary": boundary}, BorderRule(), regions=2)
        >>> np.unique(tree.partition(2)).tolist()
        [1, 2]
    """
    merging = merge_outputs(outputs, rule, regions=regions)
    return merging.tree(rule, size_hw=size_hw)


def merge_outputs(
    outputs: Mapping[str, Tensor], rule: BorderRule, *, regions: int = 1024
) -> BorderMerging:
    """Return the merges of the superpixels, given the outputs that `tree_of_outputs` takes.

    Args:
        outputs: `boundary` (logits), an embedding level, or both.
        rule: the constants.
        regions: there are at least min(pixels, `regions`) superpixels (default 1024).

    Raises ValueError where the outputs have neither.

    Example:
        >>> boundary = torch.full((1, 32, 32), -8.0)  # logits: nobody sees a border
        >>> boundary[:, :, 16] = 8.0  # but in one column, where everybody does
        >>> merging = merge_outputs({"boundary": boundary}, BorderRule(), regions=2)
        >>> merging.tree(BorderRule()).partition(2)[0, [0, 31]].tolist()
        [1, 2]
    """
    levels = levels_of(outputs)
    if not levels and "boundary" not in outputs:
        raise ValueError(f"border_tree needs boundary or a level; got {', '.join(outputs)}")
    stride = min(levels, default=1)
    vectors = levels[stride].float().cpu().numpy() if levels else None
    if "boundary" in outputs:
        boundary = outputs["boundary"][0].float().sigmoid().cpu().numpy()
    else:
        boundary = _steepness(levels[stride], stride).cpu().numpy()
    return merge_borders(boundary, vectors, stride=stride, regions=regions, rule=rule)


def _steepness(vectors: Float[Tensor, "c i j"], stride: int) -> Float32[Tensor, "h w"]:
    """Return at every pixel how far apart the vectors on both sides of its cell are, at most 1."""
    padded = torch.nn.functional.pad(vectors.float()[None], (1, 1, 1, 1), mode="replicate")[0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]).abs().sum(0)
    along = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]).abs().sum(0)
    distance = torch.maximum(across, along).clamp(max=1)
    whole = [(side - 1) * stride + 1 for side in distance.shape]
    return torch.nn.functional.interpolate(
        distance[None, None], whole, mode="bilinear", align_corners=True
    )[0, 0]


def border_tree(
    boundary: Float[np.ndarray, "h w"],
    vectors: Float[np.ndarray, "c i j"] | None = None,
    *,
    stride: int = 2,
    size_hw: tuple[int, int] | None = None,
    regions: int = 1024,
    rule: BorderRule | None = None,
) -> MergeTree:
    """Return the border tree of a boundary map.

    Args:
        boundary: share in [0, 1] of people who see a border at each pixel.
        vectors: a vector for each cell of `stride` pixels (default None: borders alone count).
        stride: side of a cell, in pixels (default 2).
        size_hw: rows and columns of the image, if they are more than the map's (default None: the
            map's).
        regions: the tree has at least min(pixels, `regions`) superpixels (default 1024).
        rule: the constants (default None: those of `BorderRule`).

    Raises ValueError for a map that is empty or not finite.

    Example:
        >>> boundary = np.zeros((32, 32), np.float32)
        >>> boundary[:, 16] = 1.0  # a border between the left and the right half
        >>> tree = border_tree(boundary)
        >>> halves = tree.partition(2)
        >>> halves[0, [0, 14, 18, 31]].tolist()
        [1, 1, 2, 2]
    """
    rule = rule or BorderRule()
    merging = merge_borders(boundary, vectors, stride=stride, regions=regions, rule=rule)
    return merging.tree(rule, size_hw=size_hw)


def _steps(
    right: Float[np.ndarray, "h w_minus_1"],
    down: Float[np.ndarray, "h_minus_1 w"],
    vectors: Float[np.ndarray, "c i j"] | None,
    *,
    stride: int,
    rule: BorderRule,
) -> tuple[Float[np.ndarray, "h w_minus_1"], Float[np.ndarray, "h_minus_1 w"]]:
    """Return what a step to the right and down costs: w_b b + w_d d, d from pixel to pixel."""
    if vectors is None:
        return right, down
    across, along = (_apart(vectors, axis=axis) / stride for axis in (1, 0))
    rows, columns = (np.arange(side) for side in (right.shape[0], down.shape[1]))
    costs = []
    for strength, distances, row, column in (
        (right, across, nearest_cells(len(rows), stride), columns[:-1] // stride),
        (down, along, rows[:-1] // stride, nearest_cells(len(columns), stride)),
    ):
        places = [np.minimum(p, n - 1) for p, n in zip((row, column), distances.shape, strict=True)]
        distance = np.minimum(distances[places[0]][:, places[1]], 1) if distances.size else 0
        costs.append(rule.border * strength + rule.distance * distance)
    return costs[0], costs[1]


def _apart(vectors: Float[np.ndarray, "c i j"], *, axis: int) -> Float[np.ndarray, "_ _"]:
    """Return the L1 distance of neighbouring cells, a channel at a time: all of them are large."""
    rows, columns = vectors.shape[1] - (axis == 0), vectors.shape[2] - (axis == 1)
    total = np.zeros((max(0, rows), max(0, columns)), vectors.dtype)
    for channel in vectors:
        total += np.abs(np.diff(channel, axis=axis))
    return total


def _cells(boundary: Float[np.ndarray, "h w"], rule: BorderRule) -> int:
    return min(boundary.size, MOST_CELLS, max(1, round(boundary.size / rule.cell**2)))


def _flooded(
    boundary: Float[np.ndarray, "h w"],
    right: Float[np.ndarray, "h w_minus_1"],
    down: Float[np.ndarray, "h_minus_1 w"],
    *,
    number: int,
    rule: BorderRule,
) -> Int32[np.ndarray, "h w"]:
    seeds = grid_seeds(boundary, regions=number)
    labels = np.zeros(boundary.size, np.int32)
    side = (boundary.size / len(seeds)) ** 0.5
    # a seed reaches a few cells; beyond them the cost does not grow
    cost_of_distance = np.arange(int(4 * side) + 2) * (rule.compactness * LEVELS / side)
    flood(_levels(right), _levels(down), np.round(cost_of_distance).astype(np.int32), seeds, labels)
    return row_major_labels(labels).reshape(boundary.shape)


def _levels(strength: Float[np.ndarray, "r s"]) -> Int32[np.ndarray, "r s"]:
    return np.round(np.clip(strength, 0, 1) * LEVELS).astype(np.int32)
