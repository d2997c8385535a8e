"""A hierarchical watershed: basins of the colour gradient, flooded by area, dynamics or volume.

Cousty and Najman 2011 (doi:10.1007/978-3-642-21569-8_24) and Najman, Cousty and Perret 2013
(doi:10.1007/978-3-642-38294-9_15), Higra's implementation (Perret et al. 2019,
doi:10.1016/j.softx.2019.100335; licence CeCILL-B), an extra: `pip install maskspace[peers]`.
"""

from types import ModuleType
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from pydantic import PositiveFloat
from scipy import ndimage

from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.shrunk import Side
from maskspace.peers.kinds import TreePeer
from maskspace.peers.linked_tree import tree_of_contours
from maskspace.types import shrink_image

Attribute = Literal["area", "dynamics", "volume"]


def watershed(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    attribute: Attribute = "volume",
    sigma: PositiveFloat = 1.0,
    max_side: Side = 1024,
) -> MergeTree:
    """Return the tree of the watersheds of all basins; an error where Higra is not installed.

    The gradient is that of RGB colours in [0, 1] smoothed by `sigma` pixels, the root of the mean
    square over channels; between two pixels it is their mean. A height is the `attribute` up to
    which basins are flooded: their area as a share of the image, their dynamics (depth), or their
    volume (depth summed over pixels) over the image's pixels. Images longer than `max_side` pixels
    are segmented at that size.
    """
    small = shrink_image(image, max_side=max_side)
    channels = (small[..., channel] / 255.0 for channel in range(3))
    steepness = [ndimage.gaussian_gradient_magnitude(channel, sigma) for channel in channels]
    right, down = _saliency(np.linalg.norm(steepness, axis=0) / 3**0.5, attribute)
    return tree_of_contours(right, down, size_hw=(image.shape[0], image.shape[1]))


def _saliency(
    gradient: Float64[np.ndarray, "r s"], attribute: Attribute
) -> tuple[Float64[np.ndarray, "r s_minus_1"], Float64[np.ndarray, "r_minus_1 s"]]:
    """Return the height at which the two sides of each pair of pixels come together."""
    higra = _higra()
    shape = gradient.shape[0], gradient.shape[1]
    graph = higra.get_4_adjacency_graph(shape)
    source, target = graph.edge_list()
    is_right = target - source == 1  # no image here has one column
    weights = higra.weight_graph(graph, gradient, higra.WeightFunction.mean)
    tree, altitudes = {
        "area": higra.watershed_hierarchy_by_area,
        "dynamics": higra.watershed_hierarchy_by_dynamics,
        "volume": higra.watershed_hierarchy_by_volume,
    }[attribute](graph, weights)
    scale = 1 if attribute == "dynamics" else 1 / gradient.size
    heights = higra.saliency(tree, altitudes) * scale
    return (
        _placed(heights[is_right], source[is_right], shape)[:, :-1],
        _placed(heights[~is_right], source[~is_right], shape)[:-1],
    )


def _placed(
    heights: Float64[np.ndarray, " e"], source: Int64[np.ndarray, " e"], shape: tuple[int, int]
) -> Float64[np.ndarray, "r s"]:
    placed = np.zeros(shape)
    placed.ravel()[source] = heights
    return placed


def _higra() -> ModuleType:
    try:
        import higra
    except ImportError:
        raise ValueError("watershed needs Higra: pip install maskspace[peers]") from None
    return higra


WATERSHED = TreePeer(tree=watershed)
