"""The merge tree of the image's own colours in CIELAB: what a student has to be better than.

Three linkages of the same colours:

    border      the tree of border strength, as a student for photos has it: the border is the
                gradient of the smoothed colours, the distance that of their means
    ward        mean colours alone, with Ward's factor for small regions (`merge_tree`)
    quasi-flat  single linkage of the mean strength of borders: quasi-flat zones of the superpixels
                (Soille 2008, doi:10.1109/TPAMI.2007.70817)

Measured on the first 10 photos of BSDS500's train, covering OIS: border .642, ward .600, ward of
colours and texture .619, scikit-image's Felzenszwalb .621 (docs/partitions.md has val).
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab

from maskspace.partition.border_tree import BorderRule, border_tree
from maskspace.partition.merge_tree import MergeTree, build_tree
from maskspace.partition.region_graph import RegionGraph, region_graph
from maskspace.partition.shrunk import Side
from maskspace.peers.kinds import TreePeer
from maskspace.peers.linked_tree import tree_of_links
from maskspace.types import shrink_image

Linkage = Literal["border", "ward", "quasi-flat"]

#: Gaussian that colours are smoothed with, in pixels, and the strength of a gradient of 1 a pixel.
SIGMA, GAIN = 2.0, 8.0
RULE = BorderRule(border=0.5, distance=0.5)


def lab_tree(
    image: UInt8[np.ndarray, "h w 3"], *, linkage: Linkage = "ward", max_side: Side = 1024
) -> MergeTree:
    """Return the tree of colours; images longer than `max_side` pixels are looked at in that size.

    Args:
        image: the image.
        linkage: what two regions are merged by, as at the head of this file (default "ward").
        max_side: pixels of the longer side, >= 32 (default 1024).

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> lab_tree(halves).partition(2)[0].tolist()
        [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    small, size_hw = shrink_image(image, max_side=max_side), (image.shape[0], image.shape[1])
    colours = lab_colours(small)
    if linkage == "border":
        smooth = np.stack([ndimage.gaussian_filter(channel, SIGMA) for channel in colours])
        return border_tree(_gradient(colours), smooth, stride=1, size_hw=size_hw, rule=RULE)
    tree = build_tree(colours, size_hw=size_hw)
    if linkage == "ward":
        return tree
    assert tree.graph is not None
    links = tree_of_links(tree.superpixels, tree.graph.pairs, tree.graph.strengths, size_hw=size_hw)
    return replace(links, graph=tree.graph)


def _gradient(colours: Float32[np.ndarray, "3 h w"]) -> Float32[np.ndarray, "h w"]:
    """Return the magnitude of the gradient of smoothed colours, times GAIN, at most 1."""
    squares = sum(ndimage.gaussian_gradient_magnitude(channel, SIGMA) ** 2 for channel in colours)
    return np.minimum(GAIN * np.sqrt(squares), 1).astype(np.float32)


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
