from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from maskspace.masks import pairwise_iou, split_components
from maskspace.partition import PARTITIONERS
from maskspace.partition.merge_tree import build_tree
from maskspace.partition.region_graph import region_graph
from maskspace.partition.superpixels import superpixels
from maskspace.types import read_rgb


def features(c: int, h: int, w: int, *, seed: int = 0, sigma: float = 1.5) -> np.ndarray:
    noise = np.random.default_rng(seed).random((c, h, w))
    return ndimage.gaussian_filter(noise, (0, sigma, sigma)).astype(np.float32)


def scene() -> tuple[np.ndarray, list[np.ndarray]]:
    """Return an object with a part on a background, and the masks of object and part."""
    embedding = np.full((3, 60, 80), 0.1, np.float32)
    thing, part = np.zeros((2, 60, 80), bool)
    thing[10:50, 15:60], part[20:40, 25:45] = True, True
    embedding[:, thing], embedding[:, part] = 0.7, 0.9
    return embedding, [thing, part]


def is_refinement(fine: np.ndarray, coarse: np.ndarray) -> bool:
    pairs = np.unique(np.stack([fine.ravel(), coarse.ravel()], axis=1), axis=0)
    return len(pairs) == len(np.unique(fine))


@pytest.mark.parametrize(
    "embedding",
    [features(3, 16, 17), features(2, 40, 30, sigma=0), np.zeros((3, 20, 20), np.float32)],
    ids=["smooth", "noise", "constant"],
)
def test_every_number_of_regions_is_exact_connected_and_nested(embedding):
    tree = build_tree(embedding, regions=200)
    finer = tree.partition(tree.max_regions)
    np.testing.assert_array_equal(finer, tree.superpixels)
    for regions in range(tree.max_regions, 0, -1):
        labels = tree.partition(regions)
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(np.unique(labels), np.arange(1, regions + 1))
        assert split_components(labels).max() == regions
        assert is_refinement(finer, labels)
        finer = labels


def test_merges_are_those_of_brute_force_agglomeration():
    embedding = features(3, 14, 15).astype(np.float64)
    tree = build_tree(embedding, regions=60, grain=0.02)
    assert tree.max_regions > 50
    labels, grain = tree.superpixels, 0.02 * tree.superpixels.size
    for regions in range(tree.max_regions, 1, -1):
        graph = region_graph(labels, embedding)
        first, second = graph.pairs.T
        size = graph.areas[first] * graph.areas[second] / (graph.areas[first] + graph.areas[second])
        apart = ((graph.means[first] - graph.means[second]) ** 2).mean(axis=1)
        cost = np.sqrt(size / (size + grain) * apart)
        best = cost.argmin()
        height = tree.heights[tree.max_regions - regions]
        assert height >= np.float32(cost[best])
        labels = np.where(labels == second[best] + 1, first[best] + 1, labels).astype(np.int32)
        expected = tree.partition(regions - 1)
        assert is_refinement(labels, expected)
        labels = expected


def test_regions_out_of_range_are_refused_with_the_range():
    tree = build_tree(features(3, 20, 20), regions=50)
    for regions in (0, tree.max_regions + 1, -3):
        with pytest.raises(ValueError, match=rf"1\.\.{tree.max_regions}"):
            tree.partition(regions)


def test_heights_rise_and_cuts_are_partitions_of_the_tree():
    tree = build_tree(features(3, 30, 40), regions=120)
    assert (np.diff(tree.heights) >= 0).all()
    assert tree.heights.min() >= 0 and tree.heights.max() <= 1
    cuts = [tree.cut(height) for height in (0.0, *tree.heights[::17].tolist(), 1.0)]
    assert all(is_refinement(fine, coarse) for fine, coarse in pairwise(cuts))
    assert cuts[-1].max() == 1
    for height in tree.heights[::17].tolist():
        regions = tree.max_regions - int((tree.heights <= height).sum())
        np.testing.assert_array_equal(tree.cut(height), tree.partition(regions))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        tree.cut(1.5)


def test_a_height_is_the_feature_difference_whatever_else_is_in_the_image():
    """Halves 0.3 apart are one region exactly from 0.3 on, up to the factor for their size."""
    for extra in (0.0, 0.6):
        embedding = np.zeros((3, 32, 96), np.float32)
        embedding[:, :, 32:64] = 0.3
        embedding[:, :, 64:] = 0.3 + extra
        tree = build_tree(embedding, grain=1e-6)
        for height, same in ((0.29, False), (0.305, True)):
            labels = tree.cut(height)
            assert (labels[0, 0] == labels[0, 50]) == same


def test_order_of_channels_leaves_the_tree_unchanged():
    embedding = np.random.default_rng(0).random((7, 33, 29)).astype(np.float32)
    tree, other = build_tree(embedding), build_tree(embedding[[6, 2, 0, 5, 1, 4, 3]])
    np.testing.assert_array_equal(tree.merges, other.merges)
    np.testing.assert_array_equal(tree.heights, other.heights)


def test_the_pieces_of_a_scene_are_found_as_partition_proposals_and_by_click():
    embedding, (thing, part) = scene()
    tree = build_tree(embedding)
    assert is_refinement(tree.partition(3), thing.astype(int) + part)
    np.testing.assert_array_equal(tree.partition(2) == tree.partition(2)[20, 30], thing)
    proposals = tree.proposals(20)
    assert pairwise_iou(proposals.masks[:4], np.stack([thing, part])).max(axis=0).min() == 1
    np.testing.assert_array_equal(tree.region_at(30, 30), thing)
    np.testing.assert_array_equal(tree.region_at(30, 30, height=0.1), part)


def test_proposals_are_distinct_ranked_connected_nodes():
    tree = build_tree(features(3, 40, 50), regions=300)
    proposals = tree.proposals(10_000)
    assert len(proposals) > 100
    assert (np.diff(proposals.scores) <= 0).all() and proposals.scores[-1] >= 0
    assert len(np.unique(proposals.masks.reshape(len(proposals), -1), axis=0)) == len(proposals)
    assert min(mask.sum() for mask in proposals.masks) >= 16
    assert all(split_components(mask.astype(int)).max() == 1 for mask in proposals.masks)
    whole = [mask.all() for mask in proposals.masks]
    assert proposals.scores[whole].tolist() == [0]
    np.testing.assert_array_equal(tree.proposals(7).masks, proposals.masks[:7])


def test_a_constant_image_proposes_itself_first_and_has_enough_regions():
    tree = build_tree(np.full((3, 40, 40), 0.5, np.float32))
    assert tree.max_regions >= 1024
    assert tree.proposals(5).masks[0].all()
    assert tree.region_at(3, 4).all()
    assert tree.cut(0.0).max() == 1


def test_a_smaller_embedding_answers_at_the_size_of_the_image():
    embedding = features(3, 32, 48)
    small = build_tree(embedding)
    large = build_tree(embedding, size_hw=(75, 101))
    assert large.max_regions == small.max_regions
    for regions in (1, 2, 40, large.max_regions):
        labels = large.partition(regions)
        assert labels.shape == (75, 101)
        assert split_components(labels).max() == len(np.unique(labels)) == regions
    proposals = large.proposals(30)
    assert proposals.masks.shape == (30, 75, 101)
    x, y = 70, 20
    assert large.region_at(x, y)[y, x]
    with pytest.raises(ValueError, match="outside"):
        large.region_at(101, 0)


def test_features_that_are_no_numbers_are_refused():
    embedding = features(3, 20, 20)
    embedding[0, 3, 4] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        build_tree(embedding)


def test_a_photo_gives_the_same_tree_twice_and_regions_along_its_edges(assets):
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[0]
    image = read_rgb(str(path))[::2, ::2]
    embedding = image.transpose(2, 0, 1).astype(np.float32) / 255
    tree, again = build_tree(embedding), build_tree(embedding)
    np.testing.assert_array_equal(tree.partition(100), again.partition(100))
    within = []
    for regions in (5, 20, 100, 500):
        index = tree.partition(regions).ravel()
        explained = [
            np.bincount(index, c) ** 2 / np.maximum(np.bincount(index), 1)
            for c in embedding.reshape(3, -1)
        ]
        within.append((embedding**2).sum() - sum(e.sum() for e in explained))
    assert (np.diff(within) < 0).all()


@pytest.mark.parametrize("name", PARTITIONERS)
def test_every_partitioner_covers_the_image_with_connected_regions_and_repeats_itself(name):
    embedding = features(3, 40, 60)
    labels = PARTITIONERS[name](embedding, regions=30)
    assert labels.shape == (40, 60) and labels.min() == 1
    assert split_components(labels).max() == labels.max() >= 30
    np.testing.assert_array_equal(PARTITIONERS[name](embedding, regions=30), labels)


def test_the_graph_holds_each_pair_of_touching_regions_once():
    embedding = features(2, 12, 13)
    labels = superpixels(embedding, regions=20)
    graph = region_graph(labels, embedding)
    expected = set()
    for y in range(12):
        for x in range(13):
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy < 12 and x + dx < 13 and labels[y, x] != labels[y + dy, x + dx]:
                    pair = sorted((labels[y, x] - 1, labels[y + dy, x + dx] - 1))
                    expected.add((int(pair[0]), int(pair[1])))
    assert sorted(expected) == [tuple(pair) for pair in graph.pairs.tolist()]
