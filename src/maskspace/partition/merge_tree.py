"""One merge tree of an image: every number of regions, every height, ranked proposals, clicks.

Input: an embedding. Steps: superpixels; then the cheapest adjacent pair of regions is merged, again
and again, until one region is left (hierarchical agglomeration on the region adjacency graph).
Cost: a heap entry for each pair of neighbours and each merge of them. The cost of a pair is

    sqrt(m / (m + g)) · d,    1/m = 1/|A| + 1/|B|,

where d is the root-mean-square difference of the two mean features and g a fixed share of the
image. The factor is Ward's (1963, doi:10.1080/01621459.1963.10500845) for regions that are small
against g, so that specks join early whatever their colour. It tends to 1 for larger regions, so
that a large and faint region does not outlive a small and distinct one. Hence costs are in [0, 1]
for features in [0, 1] and mean the same in every image: how far apart in feature space two regions
are.

Measured on colours of rectangles, nested scenes and BSDS500: from g = 1/1024 of the image (0.39
mean best IoU at 50 proposals on BSDS500) to 1/16 (0.43) proposals get better, and partitions into
many regions worse. Contrast along the common border, as a part of d, made proposals worse
everywhere and is left out.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64

from maskspace.masks import encode, enlarge, nearest_index, reduce
from maskspace.partition.region_graph import RegionGraph, region_graph
from maskspace.partition.superpixels import superpixels
from maskspace.types import Prediction

#: What `regions_like` can be asked for by name, largest first.
LEVELS = ("object", "part", "subpart")


@dataclass(frozen=True, kw_only=True)
class MergeTree:
    """Nested partitions of one image, from its superpixels down to a single region.

    Nodes 0..k-1 are the k superpixels; node k + i is made by merge i.

    Args:
        superpixels: labels 1..k at the working resolution, which is at most the image's own.
        merges: `merges[i]` are the two nodes that merge i joins.
        heights: `heights[i]` in [0, 1] is the feature difference of merge i, raised to the largest
            so far; so heights never fall.
        size_hw: rows and columns of the image; answers have this size.
        ranks: how good a proposal each node is, in any unit (default None: persistence says it).
        graph: the superpixels' adjacency, where it was made of one (default None).

    Example:
        >>> tree = MergeTree(
        ...     superpixels=np.array([[1, 2, 3]], np.int32),
        ...     merges=np.array([[0, 1], [2, 3]]),  # the first two, then the rest
        ...     heights=np.array([0.2, 0.7], np.float32),
        ...     size_hw=(1, 3),
        ... )
        >>> tree.partition(2).tolist(), tree.cut(0.5).tolist(), tree.max_regions
        ([[1, 1, 2]], [[1, 1, 2]], 3)
        >>> tree.region_at(0, 0, height=0.5).astype(int).tolist()
        [[1, 1, 0]]
    """

    superpixels: Int32[np.ndarray, "r s"]
    merges: Int64[np.ndarray, "m 2"]
    heights: Float32[np.ndarray, " m"]
    size_hw: tuple[int, int]
    ranks: Float32[np.ndarray, " n"] | None = None
    graph: RegionGraph | None = None

    @property
    def max_regions(self) -> int:
        """Return the number of superpixels, the most regions that `partition` can give."""
        return len(self.merges) + 1

    def partition(self, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return exactly `regions` 4-connected regions, labels from 1 in row-major order.

        Partitions are nested: the regions of a smaller number are unions of those of a larger
        number. Raises ValueError outside of 1..`max_regions`.
        """
        if not 1 <= regions <= self.max_regions:
            raise ValueError(
                f"regions is in 1..{self.max_regions} for this image; got {regions}: "
                "ask for a number in this range"
            )
        starts = np.flatnonzero(self._layout.joins >= self.max_regions - regions) + 1
        starts = np.concatenate([[0], starts])
        # Superpixel labels are in row-major order, so the lowest has a region's first pixel.
        order = np.argsort(np.minimum.reduceat(self._layout.leaves, starts))
        label = np.empty(regions, np.int32)
        label[order] = np.arange(1, regions + 1, dtype=np.int32)
        lengths = np.diff(starts, append=self.max_regions)
        of_superpixel = np.empty(self.max_regions + 1, np.int32)
        of_superpixel[self._layout.leaves + 1] = np.repeat(label, lengths)
        return enlarge(of_superpixel[self.superpixels], self.size_hw)

    def cut(self, height: float) -> Int32[np.ndarray, "h w"]:
        """Return the partition after all merges at or below `height`, which is in [0, 1]."""
        return self.partition(self._regions_at(height))

    def ends(self, labels: Int32[np.ndarray, "h w"]) -> Float32[np.ndarray, " n"]:
        """Return for each region of a partition of this tree the height at which it is merged on.

        Regions come by label, from 1. It is 1 for the whole image.
        """
        _, first = np.unique(labels, return_index=True)
        first_yx = np.unravel_index(first, self.size_hw)
        leaves = [self._leaf_at(int(x), int(y)) for y, x in zip(*first_yx, strict=True)]
        merges_done = len(self.merges) - (len(leaves) - 1)
        end_heights = np.concatenate([self.heights, [np.float32(1)]])
        heights = np.empty(len(leaves), np.float32)
        for label, leaf in enumerate(leaves):
            ancestors = self._ancestors(leaf)
            ending = next((n for n in ancestors if n >= self.max_regions + merges_done), None)
            heights[label] = end_heights[-1 if ending is None else ending - self.max_regions]
        return heights

    def proposals(self, limit: int = 100, *, min_area: int = 16) -> Prediction:
        """Return up to `limit` nodes of the tree, best first; no two are equal.

        The score of a node is its rank. Where there are no ranks it is its persistence times the
        square root of its share of the image. The persistence is the height at which the node is
        merged on, less the height at which it was made (0 for a superpixel); it is 0 for the whole
        image. Of equal scores the larger area comes first.

        Args:
            limit: most proposals, >= 1 (default 100).
            min_area: nodes of fewer pixels at the working resolution are left out (default 16).
        """
        if limit < 1:
            raise ValueError(f"proposals: limit is at least 1; got {limit}")
        candidates = np.flatnonzero((self._areas >= min_area) | (self._areas == self._areas[-1]))
        areas = self._areas[candidates]
        scores = self.persistence[candidates] * np.sqrt(areas / areas[-1]).astype(np.float32)
        if self.ranks is not None:
            scores = self.ranks[candidates]
        best = np.lexsort((candidates, -areas, -scores))[:limit]
        # one at a time: a hundred dense masks of twelve megapixels are 1.2 GB
        counts = [encode(self._node_mask(int(node))[None])[0] for node in candidates[best]]
        return Prediction.of_strings(counts, self.size_hw, scores[best])

    def region_at(self, x: int, y: int, height: float | None = None) -> Bool[np.ndarray, "h w"]:
        """Return the region under the pixel in column `x` and row `y` of the image.

        With a height it is the region of `cut(height)` there. Without one it is the most persistent
        node over that pixel, on a tie the larger one.

        Args:
            x: column.
            y: row.
            height: where the tree is cut, in [0, 1] (default None).

        Raises ValueError for a pixel outside of the image.
        """
        if height is not None:
            self._leaf_at(x, y)  # raises for a pixel outside of the image
            labels = self.cut(height)
            return labels == labels[y, x]
        return self._node_mask(self._most_persistent(self.path(x, y)))

    def regions_like(
        self, x: int, y: int, level: str | float = "object"
    ) -> Bool[np.ndarray, "h w"]:
        """Return the object under a pixel, or its part or sub-part there.

        The object is the most persistent node over the pixel; its part the most persistent node in
        it, over the pixel, with at most half its area; a sub-part is a part of the part. Where
        there is no smaller node it is the same region. So sub-part, part and object nest.

        Args:
            x: column of the image.
            y: row of the image.
            level: "object", "part" or "subpart", or a height in [0, 1]: the region of
                `cut(height)` there (default "object").

        Raises ValueError for a pixel outside of the image, and for another level.
        """
        if not isinstance(level, str):
            return self.region_at(x, y, level)
        if level not in LEVELS:
            raise ValueError(f"level is {', '.join(LEVELS)} or a height in [0, 1]; got {level!r}")
        nodes = self.path(x, y)
        chosen = self._most_persistent(nodes)
        for _ in range(LEVELS.index(level)):
            smaller = [node for node in nodes if 2 * self._areas[node] <= self._areas[chosen]]
            chosen = self._most_persistent(smaller) if smaller else chosen
        return self._node_mask(chosen)

    def ucm(self) -> Float32[np.ndarray, "rows columns"]:
        """Return the ultrametric contour map of the working resolution, on the doubled grid.

        Of r by s pixels it has 2 r + 1 rows and 2 s + 1 columns, as BSDS500's `ucm2`: pixel (y, x)
        is at (2 y + 1, 2 x + 1) with 0; between two pixels is the height at which their regions
        join, at a corner the greatest of those that meet there, along the frame 0. The regions of
        `cut(h)` are the pieces of what is at most h.
        """
        rows, columns = self.superpixels.shape
        contours = np.zeros((2 * rows + 1, 2 * columns + 1), np.float32)
        place = self._place
        contours[1::2, 2:-1:2] = self._joined_at(place[:, :-1], place[:, 1:])
        contours[2:-1:2, 1::2] = self._joined_at(place[:-1], place[1:])
        right, down = contours[1::2, 2:-1:2], contours[2:-1:2, 1::2]
        contours[2:-1:2, 2:-1:2] = np.maximum(
            np.maximum(right[:-1], right[1:]), np.maximum(down[:, :-1], down[:, 1:])
        )
        return contours

    def _joined_at(
        self, one: Int32[np.ndarray, "r s"], other: Int32[np.ndarray, "r s"]
    ) -> Float32[np.ndarray, "r s"]:
        """Return the height at which the leaves at two places join, 0 for the same leaf.

        It is that of the last merge between the two places: the maximum of a range, from a table
        of the maxima of all ranges whose length is a power of two.
        """
        found = np.zeros(one.shape, np.float32)
        apart = one != other
        first, last = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
        if len(first):
            length = last - first
            power = np.frexp(length)[1] - 1  # the greatest 2^power <= length
            joins = np.empty(len(first), np.int64)
            table, width = self._layout.joins, 1
            for exponent in range(int(power.max()) + 1):
                at = power == exponent
                joins[at] = np.maximum(table[first[at]], table[last[at] - width])
                table = np.maximum(table[:-width], table[width:])
                width *= 2
            found[apart] = self.heights[joins]
        return found

    def _most_persistent(self, nodes: list[int]) -> int:
        return max(nodes, key=lambda node: (self.persistence[node], node))

    def _regions_at(self, height: float) -> int:
        if not 0 <= height <= 1:
            raise ValueError(f"a height is in [0, 1]; got {height}")
        return self.max_regions - int(np.searchsorted(self.heights, height, side="right"))

    def path(self, x: int, y: int) -> list[int]:
        """Return the nodes over a pixel of the image, from its superpixel to the whole image.

        Raises ValueError for a pixel outside of the image.
        """
        return list(self._ancestors(self._leaf_at(x, y)))

    def pixels_of(self, node: int) -> Bool[np.ndarray, "r s"]:
        """Return which pixels of the working resolution a node has."""
        place = self._place - self._layout.starts[node]
        return (place >= 0) & (place < self._layout.counts[node])

    def working_yx(self, x: int, y: int) -> tuple[int, int]:
        """Return the row and the column, at the working resolution, of a pixel of the image.

        Raises ValueError for a pixel outside of the image.
        """
        height, width = self.size_hw
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(
                f"click ({x}, {y}) is outside the image: x is in 0..{width - 1} and y in "
                f"0..{height - 1}"
            )
        row, column = (
            int(nearest_index(large, small)[coordinate])
            for coordinate, large, small in zip(
                (y, x), self.size_hw, self.superpixels.shape, strict=True
            )
        )
        return row, column

    def _leaf_at(self, x: int, y: int) -> int:
        return int(self.superpixels[self.working_yx(x, y)]) - 1

    def _ancestors(self, node: int) -> Iterator[int]:
        """Yield the node and all nodes above it, up to the whole image."""
        while node >= 0:
            yield node
            node = int(self._parents[node])

    def _node_mask(self, node: int) -> Bool[np.ndarray, "h w"]:
        return enlarge(self.pixels_of(node), self.size_hw)

    def label_counts(self, labels: Int64[np.ndarray, "h w"]) -> Int64[np.ndarray, "n l"]:
        """Return the number of each node's pixels by label, 0..l-1; negative ones are not counted.

        `labels` have the image's size. If the tree has fewer rows and columns, the label nearest to
        each of its pixels counts.

        Example:
            >>> tree = MergeTree(
            ...     superpixels=np.array([[1, 2, 3]], np.int32), merges=np.array([[0, 1], [2, 3]]),
            ...     heights=np.array([0.2, 0.7], np.float32), size_hw=(1, 3))
            >>> tree.label_counts(np.array([[0, 1, 1]])).tolist()
            [[1, 0], [0, 1], [0, 1], [1, 1], [1, 2]]
        """
        label = reduce(labels, self.superpixels.shape).ravel()
        number, is_counted = int(labels.max(initial=-1)) + 1, label >= 0
        if not number:
            return np.zeros((2 * self.max_regions - 1, 0), np.int64)
        place = self._place.ravel()[is_counted].astype(np.int64)
        leaves = np.bincount(
            place * number + label[is_counted], minlength=self.max_regions * number
        )
        first = np.zeros((1, number), np.int64)
        sums = np.concatenate([first, leaves.reshape(-1, number).cumsum(axis=0)])
        starts, counts = self._layout.starts, self._layout.counts
        return sums[starts + counts] - sums[starts]

    @cached_property
    def _layout(self) -> "_Layout":
        return _layout(self.merges)

    @cached_property
    def _place(self) -> Int32[np.ndarray, "r s"]:
        """Return each pixel's place in the order of leaves, in which a node is a run of places."""
        place = np.empty(self.max_regions + 1, np.int32)
        place[self._layout.leaves + 1] = np.arange(self.max_regions, dtype=np.int32)
        return place[self.superpixels]

    @cached_property
    def _areas(self) -> Int64[np.ndarray, " n"]:
        """Return the number of pixels of each node at the working resolution."""
        leaves = np.bincount(self.superpixels.ravel(), minlength=self.max_regions + 1)[1:]
        sums = np.concatenate([[0], np.cumsum(leaves[self._layout.leaves])])
        return sums[self._layout.starts + self._layout.counts] - sums[self._layout.starts]

    @cached_property
    def _parents(self) -> Int64[np.ndarray, " n"]:
        """Return the node that each node is merged into, -1 for the whole image."""
        parents = np.full(2 * self.max_regions - 1, -1, np.int64)
        new_nodes = np.arange(self.max_regions, 2 * self.max_regions - 1)
        parents[self.merges[:, 0]] = parents[self.merges[:, 1]] = new_nodes
        return parents

    @cached_property
    def persistence(self) -> Float32[np.ndarray, " n"]:
        """Return for each node the height at which it is merged on, less that at which it was made.

        A superpixel was made at 0; the whole image, which is never merged, has 0.
        """
        made_at = np.concatenate([np.zeros(self.max_regions, np.float32), self.heights])
        return np.where(self._parents >= 0, made_at[self._parents] - made_at, np.float32(0))


@dataclass(frozen=True)
class _Layout:
    """The leaves in an order in which the leaves of every node follow one another.

    The leaves of node i are `leaves[starts[i] : starts[i] + counts[i]]`. `joins[j]` is the merge
    that joins the leaves at places j and j + 1; each merge does so for exactly one j.
    """

    leaves: Int64[np.ndarray, " k"]
    starts: Int64[np.ndarray, " n"]
    counts: Int64[np.ndarray, " n"]
    joins: Int64[np.ndarray, " m"]


def _layout(merges: Int64[np.ndarray, "m 2"]) -> _Layout:
    num_leaves = len(merges) + 1
    counts, starts = [1] * (2 * num_leaves - 1), [0] * (2 * num_leaves - 1)
    for merge, (left, right) in enumerate(pairs := merges.tolist()):
        counts[num_leaves + merge] = counts[left] + counts[right]
    joins = np.empty(len(merges), np.int64)
    for merge in reversed(range(len(merges))):
        left, right = pairs[merge]
        starts[left] = starts[num_leaves + merge]
        starts[right] = starts[left] + counts[left]
        joins[starts[right] - 1] = merge
    leaves = np.empty(num_leaves, np.int64)
    leaves[starts[:num_leaves]] = np.arange(num_leaves)
    return _Layout(leaves, np.array(starts), np.array(counts), joins)


def build_tree(
    embedding: Float[np.ndarray, "c h w"],
    *,
    size_hw: tuple[int, int] | None = None,
    regions: int = 1024,
    compactness: float = 0.02,
    grain: float = 1 / 64,
) -> MergeTree:
    """Return the merge tree of an embedding.

    Args:
        embedding: features in [0, 1].
        size_hw: rows and columns of the image, if they are more than the embedding's (default None:
            the embedding's).
        regions: least number of superpixels, or one for each pixel (default 1024).
        compactness: as in `superpixels` (default 0.02).
        grain: g, as a share of the image, > 0 (default 1/64).

    Raises ValueError for an embedding that is larger than the image, empty or not finite.

    Example:
        >>> halves = np.zeros((1, 4, 4), np.float32)
        >>> halves[:, :, 2:] = 1
        >>> tree = build_tree(halves)
        >>> tree.max_regions, tree.partition(2)[0].tolist()
        (16, [1, 1, 2, 2])
    """
    size_hw = size_hw or embedding.shape[1:]
    if (
        min(embedding.shape[1:]) < 1
        or size_hw[0] < embedding.shape[1]
        or size_hw[1] < embedding.shape[2]
    ):
        raise ValueError(
            f"an embedding of {embedding.shape[1:]} does not fit an image of {size_hw}"
        )
    if not np.isfinite(embedding).all():
        raise ValueError("the embedding holds values that are not finite; was the model trained?")
    labels = superpixels(embedding, regions=regions, compactness=compactness)
    graph = region_graph(labels, embedding, size_hw=size_hw)
    merges, costs = _agglomerate(graph, grain=grain * labels.size)
    heights = np.minimum(np.maximum.accumulate(costs), 1).astype(np.float32)
    return MergeTree(
        superpixels=labels, merges=merges, heights=heights, size_hw=size_hw, graph=graph
    )


def merge_tree_partition(
    embedding: Float[np.ndarray, "c h w"], *, regions: int = 24
) -> Int32[np.ndarray, "h w"]:
    """Return the merge tree's partition into a number of connected regions.

    Args:
        embedding: features in [0, 1].
        regions: the exact number of regions, from 1 to the number of superpixels (default 24).

    Raises ValueError for a number outside of that range.

    Example:
        >>> halves = np.zeros((1, 4, 4), np.float32)
        >>> halves[:, :, 2:] = 1
        >>> merge_tree_partition(halves, regions=2)[0].tolist()
        [1, 1, 2, 2]
    """
    return build_tree(embedding).partition(regions)


def _agglomerate(
    graph: RegionGraph, *, grain: float
) -> tuple[Int64[np.ndarray, "m 2"], Float64[np.ndarray, " m"]]:
    """Return the merges in order, and the cost of each; of equal costs lower nodes come first.

    A merged node has a new number, so an entry of the heap is out of date exactly when one of its
    nodes is gone. Costs are rounded to single precision: equal costs then stay equal when channels
    are summed in another order.
    """
    num_leaves = len(graph.areas)
    areas = np.concatenate([graph.areas.astype(float), np.zeros(num_leaves - 1)])
    means = np.concatenate([graph.means, np.zeros((num_leaves - 1, graph.means.shape[1]))])
    neighbours = _neighbours(graph)
    first, second = graph.pairs.T
    costs = _costs(means[first] - means[second], areas[first], areas[second], grain=grain)
    heap = list(zip(costs.tolist(), first.tolist(), second.tolist(), strict=True))
    heapq.heapify(heap)
    merges, heights = [], []
    while len(merges) < num_leaves - 1:
        cost, left, right = heapq.heappop(heap)
        if left not in neighbours or right not in neighbours:
            continue
        node = num_leaves + len(merges)
        merges.append((left, right))
        heights.append(cost)
        areas[node] = areas[left] + areas[right]
        means[node] = (areas[left] * means[left] + areas[right] * means[right]) / areas[node]
        new_neighbours = _replace(neighbours, left, right, node)
        costs = _costs(
            means[new_neighbours] - means[node], areas[new_neighbours], areas[node], grain=grain
        )
        for other, cost in zip(new_neighbours, costs.tolist(), strict=True):
            heapq.heappush(heap, (cost, other, node))
    return np.array(merges, np.int64).reshape(-1, 2), np.array(heights)


def _costs(
    differences: Float64[np.ndarray, "e c"],
    areas: Float64[np.ndarray, " e"],
    other_areas: Float64[np.ndarray, " e"] | np.float64,
    *,
    grain: float,
) -> Float32[np.ndarray, " e"]:
    """Return the cost of each pair, the equation at the head of this file."""
    ward = areas * other_areas / (areas + other_areas)
    return np.sqrt(ward / (ward + grain) * (differences**2).mean(axis=1)).astype(np.float32)


def _neighbours(graph: RegionGraph) -> dict[int, set[int]]:
    neighbours: dict[int, set[int]] = {i: set() for i in range(len(graph.areas))}
    for left, right in graph.pairs.tolist():
        neighbours[left].add(right)
        neighbours[right].add(left)
    return neighbours


def _replace(neighbours: dict[int, set[int]], left: int, right: int, node: int) -> list[int]:
    """Replace the nodes `left` and `right` by `node`, and return its neighbours."""
    new_neighbours = (neighbours.pop(left) | neighbours.pop(right)) - {left, right}
    for other in new_neighbours:
        neighbours[other] -= {left, right}
        neighbours[other].add(node)
    neighbours[node] = new_neighbours
    return list(new_neighbours)
