import numpy as np
import pytest
from skimage.graph import merge_hierarchical, rag_mean_color

from maskspace.masks import split_components
from maskspace.peers.slic_merging import slic_labels, slic_merging
from maskspace.types import read_rgb


def published_merging(image: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    """Return what scikit-image's example of hierarchical merging gives at a threshold."""

    def join(graph, source, kept):
        node = graph.nodes[kept]
        node["total color"] += graph.nodes[source]["total color"]
        node["pixel count"] += graph.nodes[source]["pixel count"]
        node["mean color"] = node["total color"] / node["pixel count"]

    def weight(graph, source, kept, near):
        difference = graph.nodes[kept]["mean color"] - graph.nodes[near]["mean color"]
        return {"weight": np.linalg.norm(difference)}

    return merge_hierarchical(
        labels,
        rag_mean_color(image.astype(float), labels, connectivity=1),
        thresh=threshold,
        rag_copy=False,
        in_place_merge=True,
        merge_func=join,
        weight_func=weight,
    )


@pytest.mark.parametrize("threshold", [3.3, 11.7, 30.1, 70.9])
def test_a_cut_is_scikit_images_merging_at_that_distance(threshold, assets):
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[3]
    image = read_rgb(str(path))[::4, ::4]
    labels = slic_labels(image, superpixels=200, compactness=10.0)
    expected = split_components(published_merging(image, labels, threshold) + 1)
    found = slic_merging(image, superpixels=200).cut(threshold / 255 / 3**0.5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 90), (1, 5), (3, 1)])
@pytest.mark.parametrize("superpixels", [1, 7, 10_000])
def test_superpixels_are_connected_and_numbered_in_order(size_hw, superpixels):
    for image in (
        np.full((*size_hw, 3), 9, np.uint8),
        np.random.default_rng(1).integers(0, 256, (*size_hw, 3)).astype(np.uint8),
    ):
        labels = slic_labels(image, superpixels=superpixels, compactness=10.0)
        np.testing.assert_array_equal(split_components(labels), labels)


def test_a_height_is_the_distance_of_mean_colours():
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 20:] = 255
    tree = slic_merging(image, superpixels=16)
    assert tree.heights[-1] == 1 and (tree.heights[:-1] == 0).all()
    np.testing.assert_array_equal(tree.cut(0.5) == 1, image[..., 0] == 0)
