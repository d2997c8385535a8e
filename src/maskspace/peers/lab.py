"""The merge tree of the image's own colours in CIELAB: what a student has to be better than.

The tree is that of a student's features, made of colours instead: superpixels, merged by average
linkage of their mean colours.
"""

import numpy as np
from jaxtyping import UInt8
from skimage.color import rgb2lab

from maskspace.partition.merge_tree import MergeTree, build_tree
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
    small = shrink_image(image, max_side=max_side)
    colours = rgb2lab(small).astype(np.float32).transpose(2, 0, 1) / 100
    colours[1:] += np.float32(0.5)
    return build_tree(colours, size_hw=(image.shape[0], image.shape[1]))


LAB = TreePeer(tree=lab_tree)
