"""Over-segmentation of an embedding into connected superpixels.

A watershed cut (Cousty, Bertrand, Najman, Couprie 2009, doi:10.1109/TPAMI.2008.173): the minimum
spanning forest of the 4-neighbour graph, rooted at one seed a grid cell. Weights sit on the edges
between pixels, so that a step of one pixel is cut exactly where it is; a watershed on a gradient
image has to give the two pixels beside a step to one side or the other, which at 64×64 costs more
than anything else here. Departure: the weight grows slightly with the distance to the nearest
seed, so that where features say nothing the regions are the seeds' Voronoi cells.
"""  # noqa: RUF002

from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from maskspace.kernels.cell_minima import cell_minima

#: Labels that are looked at at once.
_AT_ONCE = 2**22


def superpixels(
    embedding: Float[np.ndarray, "c h w"], *, regions: int = 1024, compactness: float = 0.02
) -> Int32[np.ndarray, "h w"]:
    """Return a partition into at least min(pixels, `regions`) 4-connected superpixels.

    Labels run from 1 in row-major order of each superpixel's first pixel. If there are no more than
    `regions` pixels, each is a superpixel. The same input gives the same partition on every
    machine.

    Args:
        embedding: features of each pixel.
        regions: least number of superpixels, >= 1 (default 1024).
        compactness: feature difference that weighs as much as one grid cell of distance (default
            0.02).

    Raises ValueError for `regions` below 1.

    Example:
        >>> halves = np.zeros((1, 4, 4), np.float32)
        >>> halves[:, :, 2:] = 1
        >>> superpixels(halves, regions=2)[0].tolist()
        [1, 1, 2, 2]
        >>> superpixels(halves, regions=16).max().item()  # each pixel is its own
        16
    """
    if regions < 1:
        raise ValueError(f"superpixels: regions is at least 1; got {regions}")
    height, width = embedding.shape[1:]
    if height * width <= regions:
        return np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)
    right, down = neighbour_differences(embedding)
    seeds = grid_seeds(_gradient(right, down), regions=regions)
    distance = _distance_in_cells(seeds, (height, width))
    right = right + compactness * np.maximum(distance[:, :-1], distance[:, 1:])
    down = down + compactness * np.maximum(distance[:-1], distance[1:])
    return _spanning_forest(right, down, seeds)


def neighbour_differences(
    embedding: Float[np.ndarray, "c h w"],
) -> tuple[Float32[np.ndarray, "h w_minus_1"], Float32[np.ndarray, "h_minus_1 w"]]:
    """Return the root-mean-square feature difference of each pixel to the next right and below.

    Example:
        >>> right, down = neighbour_differences(np.array([[[0.0, 1.0], [0.0, 3.0]]]))
        >>> right.tolist(), down.tolist()
        ([[1.0], [3.0]], [[0.0, 2.0]])
    """
    right = np.zeros((embedding.shape[1], embedding.shape[2] - 1), np.float32)
    down = np.zeros((embedding.shape[1] - 1, embedding.shape[2]), np.float32)
    for channel in embedding:
        right += (channel[:, 1:] - channel[:, :-1]).astype(np.float32) ** 2
        down += (channel[1:] - channel[:-1]).astype(np.float32) ** 2
    return np.sqrt(right / len(embedding)), np.sqrt(down / len(embedding))


def grid_seeds(gradient: Float[np.ndarray, "h w"], *, regions: int) -> Int64[np.ndarray, " k"]:
    """Return the flat index of one pixel in each cell of a grid of at least `regions` cells.

    It is the pixel of the cell with the least gradient; of equal ones the one nearest to the cell's
    centre, then the first in row-major order. Cells do not overlap, so seeds are all different.

    Example:
        >>> grid_seeds(np.array([[1.0, 0.0, 0.0, 1.0]]), regions=2).tolist()
        [1, 2]
    """
    height, width = gradient.shape
    rows, columns = _grid_size(height, width, regions)
    # by pixels' centres, so that the cells of a mirrored image are the mirrored ones
    row_cell = (2 * np.arange(height) + 1) * rows // (2 * height)
    column_cell = (2 * np.arange(width) + 1) * columns // (2 * width)
    seeds = np.full((int(row_cell[-1]) + 1, int(column_cell[-1]) + 1), -1, np.int64)
    offsets = _offset_from_centre(row_cell), _offset_from_centre(column_cell)
    cell_minima(gradient, row_cell, column_cell, *offsets, seeds)
    return seeds.ravel()


def _grid_size(height: int, width: int, regions: int) -> tuple[int, int]:
    """Return numbers of rows and columns: at least `regions` cells, each nearly square."""
    rows = min(height, max(1, round((regions * height / width) ** 0.5)))
    columns = min(width, -(-regions // rows))
    return min(height, max(rows, -(-regions // columns))), columns


def _offset_from_centre(cell: Int64[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    count = np.bincount(cell)
    centre = np.bincount(cell, weights=np.arange(len(cell))) / count
    return np.arange(len(cell)) - centre[cell]


def _gradient(
    right: Float32[np.ndarray, "h w_minus_1"], down: Float32[np.ndarray, "h_minus_1 w"]
) -> Float32[np.ndarray, "h w"]:
    """Return the largest difference between each pixel and its four neighbours."""
    gradient = np.zeros((right.shape[0], down.shape[1]), np.float32)
    np.maximum(gradient[:, 1:], right, out=gradient[:, 1:])
    np.maximum(gradient[:, :-1], right, out=gradient[:, :-1])
    np.maximum(gradient[1:], down, out=gradient[1:])
    np.maximum(gradient[:-1], down, out=gradient[:-1])
    return gradient


def _distance_in_cells(
    seeds: Int64[np.ndarray, " k"], size_hw: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    outside = np.ones(size_hw, bool)
    outside.ravel()[seeds] = False
    distance = cast(np.ndarray, ndimage.distance_transform_edt(outside))
    return (distance / (outside.size / len(seeds)) ** 0.5).astype(np.float32)


def _spanning_forest(
    right: Float32[np.ndarray, "h w_minus_1"],
    down: Float32[np.ndarray, "h_minus_1 w"],
    seeds: Int64[np.ndarray, " k"],
) -> Int32[np.ndarray, "h w"]:
    """Return the trees of the minimum spanning forest rooted at the seeds, as labels from 1.

    A virtual pixel with an edge to every seed, lighter than any edge between pixels, turns the
    forest into a spanning tree. Weights are ranks: ties then break by position, not by the sorting
    algorithm, and no weight is zero, which a sparse matrix would not hold.
    """
    height, width = right.shape[0], down.shape[1]
    pixel = np.arange(height * width, dtype=np.int32).reshape(height, width)
    source = np.concatenate([pixel[:, :-1].ravel(), pixel[:-1].ravel()])
    target = np.concatenate([pixel[:, 1:].ravel(), pixel[1:].ravel()])
    weight = np.concatenate([right.ravel(), down.ravel()])
    rank = np.empty(len(weight))
    rank[np.argsort(weight, kind="stable")] = np.arange(1, len(weight) + 1) + len(seeds)
    source = np.concatenate([np.full(len(seeds), pixel.size, np.int32), source])
    target = np.concatenate([seeds.astype(np.int32), target])
    rank = np.concatenate([np.arange(1, len(seeds) + 1), rank])
    nodes = pixel.size + 1
    tree = csgraph.minimum_spanning_tree(
        sparse.csr_array((rank, (source, target)), shape=(nodes, nodes))
    ).tocoo()
    is_kept = tree.row != pixel.size
    forest = sparse.csr_array(
        (np.ones(is_kept.sum(), np.int8), (tree.row[is_kept], tree.col[is_kept])),
        shape=(nodes, nodes),
    )
    component = csgraph.connected_components(forest, directed=False)[1][:-1]
    return row_major_labels(component).reshape(height, width)


def equal_components(values: Int32[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Return a label for each 4-connected component of equal value, from 1 in row-major order.

    Example:
        >>> equal_components(np.array([[5, 5, 0, 5]], np.int32)).tolist()
        [[1, 1, 2, 3]]
    """
    return linked_components(values[:, 1:] == values[:, :-1], values[1:] == values[:-1])


def linked_components(
    right: Bool[np.ndarray, "h w_minus_1"], down: Bool[np.ndarray, "h_minus_1 w"]
) -> Int32[np.ndarray, "h w"]:
    """Return the components of pixels that are linked to the next right and below.

    Labels are from 1 in row-major order.

    Example:
        >>> linked_components(np.array([[True, False]]), np.zeros((0, 3), bool)).tolist()
        [[1, 1, 2]]
    """
    height, width = right.shape[0], down.shape[1]
    pixel = np.arange(height * width, dtype=np.int32).reshape(height, width)
    source = np.concatenate([pixel[:, :-1][right], pixel[:-1][down]])
    target = np.concatenate([pixel[:, 1:][right], pixel[1:][down]])
    graph = sparse.csr_array(
        (np.ones(len(source), np.int8), (source, target)), shape=(pixel.size, pixel.size)
    )
    component = csgraph.connected_components(graph, directed=False)[1]
    return row_major_labels(component).reshape(pixel.shape)


def row_major_labels(labels: Int32[np.ndarray, " p"]) -> Int32[np.ndarray, " p"]:
    """Return the same partition, with labels from 1 in the order of their first pixels.

    Labels are at least 0; memory grows with the largest one.

    Example:
        >>> row_major_labels(np.array([7, 7, 2, 7], np.int32)).tolist()
        [1, 1, 2, 1]
    """
    first = np.full(int(labels.max(initial=0)) + 1, labels.size, np.int64)
    for end in range(labels.size, 0, -_AT_ONCE):  # of equal places the last one written stays
        begin = max(0, end - _AT_ONCE)
        first[labels[begin:end][::-1]] = np.arange(end - 1, begin - 1, -1)
    present = np.flatnonzero(first < labels.size)
    order = np.zeros(len(first), np.int32)
    order[present[np.argsort(first[present])]] = np.arange(1, len(present) + 1, dtype=np.int32)
    return order[labels]
