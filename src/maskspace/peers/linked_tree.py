"""The merge tree of a hierarchy that is known by what its contours, or its merges, are worth."""

import numpy as np
from jaxtyping import Float, Int, Int32, Int64
from scipy import sparse
from scipy.sparse import csgraph

from maskspace.partition.merge_tree import MergeTree


def tree_of_links(
    superpixels: Int32[np.ndarray, "r s"],
    links: Int[np.ndarray, "e 2"],
    heights: Float[np.ndarray, " e"],
    *,
    size_hw: tuple[int, int],
) -> MergeTree:
    """Return the tree in which two regions join at the least height of a link between them.

    A link is a pair of adjacent superpixels by index, label less one, and links must connect them
    all; heights are in [0, 1]. Links are followed lowest first, equal ones in the order given, and
    those inside a region are passed over.

    Example:
        >>> superpixels = np.array([[1, 2, 3]], np.int32)
        >>> links, heights = np.array([[0, 1], [1, 2]]), np.array([0.7, 0.2])
        >>> tree = tree_of_links(superpixels, links, heights, size_hw=(1, 3))
        >>> tree.partition(2).tolist()
        [[1, 2, 2]]
    """
    num_leaves = int(superpixels.max())
    order = np.argsort(heights, kind="stable")
    root, node = list(range(num_leaves)), list(range(num_leaves))
    merges, joined_at = [], []
    for (left, right), height in zip(links[order].tolist(), heights[order].tolist(), strict=True):
        left, right = _root(root, left), _root(root, right)
        if left != right:
            merges.append((node[left], node[right]))
            joined_at.append(height)
            root[right] = left
            node[left] = num_leaves + len(merges) - 1
    assert len(merges) == num_leaves - 1, "links connect all superpixels"
    return MergeTree(
        superpixels=superpixels,
        merges=np.array(merges, np.int64).reshape(-1, 2),
        heights=np.clip(np.array(joined_at, np.float32), 0, 1),
        size_hw=size_hw,
    )


def tree_of_contours(
    right: Float[np.ndarray, "r s_minus_1"],
    down: Float[np.ndarray, "r_minus_1 s"],
    *,
    size_hw: tuple[int, int],
) -> MergeTree:
    """Return the tree whose cut at a height holds the contours above it.

    `right` and `down` are the strength in [0, 1] of the contour between each pixel and the one
    right of it and below it. Superpixels are the 4-connected regions without a contour above 0.

    Example:
        >>> right, down = np.array([[0.0, 0.8, 0.0]]), np.zeros((0, 4))
        >>> tree_of_contours(right, down, size_hw=(1, 4)).partition(2).tolist()
        [[1, 1, 2, 2]]
    """
    index = np.arange(right.shape[0] * down.shape[1]).reshape(right.shape[0], down.shape[1])
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    strength = np.concatenate([right.ravel(), down.ravel()])
    region = _pieces(first[strength <= 0], second[strength <= 0], num_pixels=index.size)
    # of all pixels along a border the weakest decides: it comes first, and np.unique keeps it
    order = np.argsort(strength, kind="stable")
    pairs = np.sort(np.stack([region[first[order]], region[second[order]]], axis=1), axis=1)
    code = pairs[:, 0] * (region.max() + 1) + pairs[:, 1]
    _, weakest = np.unique(code, return_index=True)
    weakest = weakest[pairs[weakest, 0] != pairs[weakest, 1]]
    return tree_of_links(
        (region + 1).reshape(index.shape).astype(np.int32),
        pairs[weakest],
        strength[order][weakest],
        size_hw=size_hw,
    )


def _pieces(
    first: Int64[np.ndarray, " e"], second: Int64[np.ndarray, " e"], *, num_pixels: int
) -> Int64[np.ndarray, " p"]:
    """Return the connected piece of each pixel, numbered by its first pixel."""
    joined = sparse.coo_array(
        (np.ones(len(first), bool), (first, second)), shape=(num_pixels, num_pixels)
    )
    _, piece = csgraph.connected_components(joined, directed=False)
    _, at, inverse = np.unique(piece, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(at))[inverse]


def _root(root: list[int], leaf: int) -> int:
    """Return the leaf that stands for a leaf's region, and shorten the way there."""
    while root[leaf] != leaf:
        root[leaf] = root[root[leaf]]
        leaf = root[leaf]
    return leaf
