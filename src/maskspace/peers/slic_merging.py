"""SLIC superpixels, merged by mean colour: the nearest two neighbours first, to a single region.

Achanta et al. 2012 (doi:10.1109/TPAMI.2012.120); merging as scikit-image's region adjacency graph
does it (`merge_hierarchical`): the mean colour of a merged region is that of its pixels, and the
weight of a border the distance of two mean colours. Departure: the graph is 4-connected, and merges
are followed to the end, which makes a hierarchy of them.
"""

from math import dist, inf

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt8
from pydantic import PositiveFloat, PositiveInt
from skimage.graph import RAG, merge_hierarchical
from skimage.measure import label
from skimage.segmentation import slic

from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.region_graph import RegionGraph, region_graph
from maskspace.partition.shrunk import Side
from maskspace.peers.kinds import TreePeer
from maskspace.peers.linked_tree import tree_of_links
from maskspace.types import shrink_image


def slic_merging(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    superpixels: PositiveInt = 1000,
    compactness: PositiveFloat = 10.0,
    max_side: Side = 1024,
) -> MergeTree:
    """Return the tree of merges of about `superpixels` of SLIC.

    Heights are distances of mean RGB colours, 1 that of black and white, raised to the greatest so
    far. Images longer than `max_side` pixels are segmented at that size.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> slic_merging(halves, superpixels=16).partition(2)[0].tolist()
        [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    small = shrink_image(image, max_side=max_side)
    labels = slic_labels(small, superpixels=superpixels, compactness=compactness)
    graph = region_graph(labels, small.transpose(2, 0, 1) / 255)
    links, distances = _merges(labels, graph)
    heights = np.maximum.accumulate(distances) / 3**0.5
    return tree_of_links(labels, links, heights, size_hw=(image.shape[0], image.shape[1]))


def slic_labels(
    image: UInt8[np.ndarray, "h w 3"], *, superpixels: int, compactness: float
) -> Int32[np.ndarray, "h w"]:
    """Return about `superpixels` 4-connected superpixels, labels from 1 in row-major order.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> int(slic_labels(halves, superpixels=4, compactness=10.0).max())
        4
    """
    wanted = min(superpixels, max(1, image.shape[0] * image.shape[1] // 4))
    found = slic(image, n_segments=wanted, compactness=compactness, start_label=0)
    return np.asarray(label(found, connectivity=1, background=-1)).astype(np.int32)


def _merges(
    labels: Int32[np.ndarray, "h w"], graph: RegionGraph
) -> tuple[Int64[np.ndarray, "m 2"], Float64[np.ndarray, " m"]]:
    """Return the pairs that scikit-image merges, in order, and the distance of each."""
    areas, means = graph.areas.tolist(), graph.means.tolist()
    rag = RAG()
    for node in range(len(areas)):
        rag.add_node(node, labels=[node])
    for first, second in graph.pairs.tolist():
        rag.add_edge(first, second, weight=dist(means[first], means[second]))
    merges: list[tuple[int, int]] = []
    distances: list[float] = []

    def join(rag: RAG, source: int, kept: int) -> None:
        merges.append((source, kept))
        distances.append(rag[source][kept]["weight"])
        area = areas[source] + areas[kept]
        means[kept] = [
            (areas[source] * one + areas[kept] * other) / area
            for one, other in zip(means[source], means[kept], strict=True)
        ]
        areas[kept] = area

    merge_hierarchical(
        labels - 1,
        rag,
        thresh=inf,
        rag_copy=False,
        in_place_merge=True,
        merge_func=join,
        weight_func=lambda _, __, kept, near: {"weight": dist(means[kept], means[near])},
    )
    return np.array(merges, np.int64).reshape(-1, 2), np.array(distances, np.float64)


SLIC_MERGING = TreePeer(tree=slic_merging)
