"""The region adjacency graph of a partition: what lies between regions, and what is inside them.

Input: a partition; features of its pixels or of cells of them; a boundary map.
Idea: a tree, a graph cut and a classifier of regions ask for the same numbers. They are counted
once, and then cost as much as there are regions.
Steps: pairs of 4-neighbours with two labels, sorted by pair, are counted and their strengths added
(Tremeau and Colantoni 2000, doi:10.1109/83.841950); means and spreads are summed by region.
Cost: pixels times channels, and the sorting of the pixels along borders.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64

from maskspace.kernels.region_moments import region_moments
from maskspace.partition.superpixels import neighbour_differences


@dataclass(frozen=True, kw_only=True)
class RegionGraph:
    """The regions of a partition and the borders between them; region i has label i + 1.

    superpixels: labels 1..k at the working resolution, which is at most the image's own.
    size_hw: rows and columns of the image.
    pairs: the two regions of each border, the lower one first; pairs are sorted.
    lengths: length of each border, in pairs of 4-neighbours.
    sums: strength summed along each border, a strength being in the unit of the map, [0, 1].
    areas: pixels of each region.
    means: mean features of each region; c is 0 where there are none.
    spreads: squared deviation from those means, mean over pixels and channels.

    Example:
        >>> graph = region_graph(np.array([[1, 1, 2]], np.int32), np.array([[[0.0, 1.0, 3.0]]]))
        >>> graph.areas.tolist(), graph.means.tolist(), graph.spreads.tolist()
        ([2, 1], [[0.5], [3.0]], [0.25, 0.0])
        >>> graph.pairs.tolist(), graph.lengths.tolist(), graph.strengths.tolist()
        ([[0, 1]], [1.0], [2.0])
    """

    superpixels: Int32[np.ndarray, "r s"]
    size_hw: tuple[int, int]
    pairs: Int64[np.ndarray, "m 2"]
    lengths: Float64[np.ndarray, " m"]
    sums: Float64[np.ndarray, " m"]
    areas: Int64[np.ndarray, " k"]
    means: Float64[np.ndarray, "k c"]
    spreads: Float64[np.ndarray, " k"]

    @property
    def strengths(self) -> Float64[np.ndarray, " m"]:
        """The mean strength along each border."""
        return self.sums / self.lengths


def region_graph(
    superpixels: Int32[np.ndarray, "r s"],
    features: Float[np.ndarray, "c i j"] | None = None,
    boundary: Float[np.ndarray, "_ _"] | None = None,
    *,
    stride: int = 1,
    size_hw: tuple[int, int] | None = None,
) -> RegionGraph:
    """Return the graph of a partition.

    Args:
        superpixels: labels 1..k, each of them there.
        features: a vector for each cell of `stride` pixels (default None: means have no channels).
        boundary: strength of a border at each pixel; between two pixels it is their mean (default
            None: the root-mean-square difference of their features, or 0 without features).
        stride: side of a cell, in pixels; cell i is centred on pixel `stride` i (default 1).
        size_hw: rows and columns of the image, if they are more than the partition's (default None:
            the partition's).

    Raises ValueError for labels with gaps, and for features or a map that have another size or are
    not finite.

    Example:
        >>> halves = np.array([[1, 2], [1, 2]], np.int32)
        >>> graph = region_graph(halves, boundary=np.array([[0.0, 1.0], [0.0, 0.5]]))
        >>> graph.lengths.tolist(), graph.sums.tolist()
        ([2.0], [0.75])
    """
    _areas(superpixels)  # what is wrong with the labels is said first
    if boundary is None:
        right, down = _differences(superpixels.shape, features, stride=stride)
    else:
        _refuse_map("boundary map", boundary, boundary.shape, superpixels.shape)
        right = (boundary[:, 1:] + boundary[:, :-1]) / 2
        down = (boundary[1:] + boundary[:-1]) / 2
    return graph_of_steps(superpixels, features, right, down, stride=stride, size_hw=size_hw)


def graph_of_steps(
    superpixels: Int32[np.ndarray, "r s"],
    features: Float[np.ndarray, "c i j"] | None,
    right: Float[np.ndarray, "r s_minus_1"],
    down: Float[np.ndarray, "r_minus_1 s"],
    *,
    stride: int = 1,
    size_hw: tuple[int, int] | None = None,
) -> RegionGraph:
    """Return the graph, given the strength between each pixel and the next right and below.

    Example:
        >>> labels, down = np.array([[1, 2, 3]], np.int32), np.zeros((0, 3))
        >>> graph_of_steps(labels, None, np.array([[0.5, 1.0]]), down).sums.tolist()
        [0.5, 1.0]
    """
    areas = _areas(superpixels)
    pairs, lengths, sums = _borders(superpixels, right, down)
    means, spreads = _moments(superpixels, areas, features, stride=stride)
    rows, columns = superpixels.shape
    return RegionGraph(
        superpixels=superpixels,
        size_hw=size_hw or (rows, columns),
        pairs=pairs,
        lengths=lengths,
        sums=sums,
        areas=areas,
        means=means,
        spreads=spreads,
    )


def region_means(
    superpixels: Int32[np.ndarray, "r s"], features: Float[np.ndarray, "c i j"], *, stride: int = 1
) -> Float64[np.ndarray, "k c"]:
    """Return the mean features of each region over its pixels, each with its cell's features.

    Example:
        >>> region_means(np.array([[1, 1, 2]], np.int32), np.array([[[0.0, 1.0, 3.0]]])).tolist()
        [[0.5], [3.0]]
    """
    return _moments(superpixels, _areas(superpixels), features, stride=stride)[0]


def nearest_cells(side: int, stride: int) -> Int64[np.ndarray, " s"]:
    """Return the cell with the nearest centre to each pixel; cell i is centred on `stride` i.

    Of two that are as near it is the one nearer to the middle, so that mirrored pixels have
    mirrored cells.

    Example:
        >>> nearest_cells(5, 2).tolist()
        [0, 1, 1, 1, 2]
    """
    pixels = np.arange(side)
    towards = np.where(2 * pixels < side - 1, stride // 2, (stride - 1) // 2)
    return (pixels + towards) // stride


def _areas(superpixels: Int32[np.ndarray, "r s"]) -> Int64[np.ndarray, " k"]:
    areas = np.bincount(superpixels.ravel().clip(0))
    if superpixels.size == 0 or areas[0] or not areas[1:].all():
        raise ValueError("labels of superpixels run from 1 without a gap; number them anew")
    return areas[1:]


def _differences(
    size_hw: tuple[int, ...], features: Float[np.ndarray, "c i j"] | None, *, stride: int
) -> tuple[Float32[np.ndarray, "r s_minus_1"], Float32[np.ndarray, "r_minus_1 s"]]:
    """Return the root-mean-square difference of the features of neighbours, 0 without features."""
    height, width = size_hw
    if features is None or not len(features):
        return np.zeros((height, width - 1), np.float32), np.zeros((height - 1, width), np.float32)
    rows, columns = _cells(size_hw, features, stride=stride)
    return neighbour_differences(features if stride == 1 else features[:, rows][:, :, columns])


def _cells(
    size_hw: tuple[int, ...], features: Float[np.ndarray, "c i j"], *, stride: int
) -> list[Int64[np.ndarray, " s"]]:
    """Return the cell of each row and of each column of pixels."""
    expected = tuple(-(-side // stride) for side in size_hw)
    _refuse_map("features", features, features.shape[1:], expected)
    return [
        np.minimum(nearest_cells(side, stride), cells - 1)
        for side, cells in zip(size_hw, expected, strict=True)
    ]


def _refuse_map(
    name: str, values: Float[np.ndarray, "..."], found: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    if found != expected:
        raise ValueError(
            f"{name} of {found[0]}x{found[1]} (rows x columns) for superpixels that need "
            f"{expected[0]}x{expected[1]}: both are of one image at one size"
        )
    if not all(np.isfinite(part).all() for part in values):  # all at once is a copy in bytes
        raise ValueError(f"{name}: values are not finite; was the model trained?")


def _moments(
    superpixels: Int32[np.ndarray, "r s"],
    areas: Int64[np.ndarray, " k"],
    features: Float[np.ndarray, "c i j"] | None,
    *,
    stride: int,
) -> tuple[Float64[np.ndarray, "k c"], Float64[np.ndarray, " k"]]:
    channels = [] if features is None else features
    means, squares = np.zeros((len(channels), len(areas))), np.zeros(len(areas))
    if features is not None:
        rows, columns = _cells(superpixels.shape, features, stride=stride)
        for mean, channel in zip(means, channels, strict=True):
            wide = channel.astype(np.float32) if channel.dtype == np.float16 else channel
            region_moments(superpixels, wide, rows, columns, areas, mean, squares)
    return np.ascontiguousarray(means.T), squares / (areas * max(1, len(channels)))


def _borders(
    labels: Int32[np.ndarray, "r s"],
    right: Float[np.ndarray, "r s_minus_1"],
    down: Float[np.ndarray, "r_minus_1 s"],
) -> tuple[Int64[np.ndarray, "m 2"], Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Return the adjacent pairs by index, with length and summed strength of their borders."""
    firsts, seconds, strengths = [], [], []
    for one, other, strength in (
        (labels[:, :-1], labels[:, 1:], right),
        (labels[:-1], labels[1:], down),
    ):
        is_border = one != other
        firsts.append(one[is_border])
        seconds.append(other[is_border])
        strengths.append(strength[is_border])
    first, second = (np.concatenate(parts).astype(np.int64) - 1 for parts in (firsts, seconds))
    number = int(labels.max())
    code, inverse = np.unique(
        np.minimum(first, second) * number + np.maximum(first, second), return_inverse=True
    )
    lengths = np.bincount(inverse, minlength=len(code)).astype(np.float64)
    sums = np.bincount(inverse, weights=np.concatenate(strengths), minlength=len(code))
    return np.stack([code // number, code % number], axis=1), lengths, sums.astype(np.float64)
