"""The merge tree of the image's own colours in CIELAB: what a student has to be better than.

The tree is that of a student's features, made of colours instead: superpixels, merged by average
linkage of their mean colours.
"""

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from PIL import Image
from skimage.color import rgb2lab

from maskspace.partition.merge_tree import MergeTree, build_tree
from maskspace.partition.region_graph import RegionGraph, region_graph
from maskspace.partition.shrunk import Side
from maskspace.peers.kinds import TreePeer
from maskspace.types import shrink_image


def lab_tree(image: UInt8[np.ndarray, "h w 3"], *, max_side: Side = 1024) -> MergeTree:
    """Return the tree of colours, a hundredth of L, a and b each, about 0.5 for the latter two.

    Images longer than `max_side` pixels are looked at in that size.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> lab_tree(halves).partition(2)[0].tolist()
        [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    colours = lab_colours(shrink_image(image, max_side=max_side))
    return build_tree(colours, size_hw=(image.shape[0], image.shape[1]))


def lab_colours(image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "3 h w"]:
    """Return a hundredth of L, a and b, each about in [0, 1]: grey has 0.5 for the latter two.

    Example:
        >>> lab_colours(np.full((1, 1, 3), 255, np.uint8)).round(2).ravel().tolist()
        [1.0, 0.5, 0.5]
    """
    colours = rgb2lab(image).astype(np.float32).transpose(2, 0, 1) / 100
    colours[1:] += np.float32(0.5)
    return colours


def colour_graph(
    image: UInt8[np.ndarray, "h w 3"], superpixels: Int32[np.ndarray, "r s"]
) -> RegionGraph:
    """Return the graph of an image's superpixels, which may be smaller, in the colours of CIELAB.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> graph = colour_graph(halves, np.arange(1, 5, dtype=np.int32).reshape(2, 2))
        >>> graph.pairs.tolist(), graph.strengths.round(1).tolist()
        ([[0, 1], [0, 2], [1, 3], [2, 3]], [0.5, 0.0, 0.0, 0.5])
    """
    rows, columns = superpixels.shape
    small = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))
    size_hw = (image.shape[0], image.shape[1])
    return region_graph(superpixels, lab_colours(small), size_hw=size_hw)


LAB = TreePeer(tree=lab_tree)
