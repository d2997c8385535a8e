"""The graph against a loop over pixels, and what moves with the image when that is moved."""

from collections import defaultdict

import numpy as np
import pytest

from maskspace.partition.region_graph import nearest_cells, region_graph
from maskspace.partition.superpixels import equal_components


def drawn(seed, size_hw=(11, 14), *, stride=1, channels=2):
    """Return random superpixels, features of cells, and a boundary map."""
    rng = np.random.default_rng(seed)
    labels = equal_components(rng.integers(0, 3, size_hw).astype(np.int32))
    cells = [-(-side // stride) for side in size_hw]
    return labels, rng.normal(0, 1, (channels, *cells)), rng.random(size_hw)


def by_loop(labels, strength):
    """Return length and summed strength by pair; `strength` is a function of two pixels."""
    lengths, sums = defaultdict(int), defaultdict(float)
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            for other in ((y, x + 1), (y + 1, x)):
                if other[0] < height and other[1] < width and labels[y, x] != labels[other]:
                    pair = tuple(sorted((int(labels[y, x]) - 1, int(labels[other]) - 1)))
                    lengths[pair] += 1
                    sums[pair] += strength((y, x), other)
    return lengths, sums


def require_borders(graph, lengths, sums):
    assert [tuple(pair) for pair in graph.pairs.tolist()] == sorted(lengths)
    np.testing.assert_array_equal(graph.lengths, [lengths[p] for p in sorted(lengths)])
    np.testing.assert_allclose(graph.sums, [sums[p] for p in sorted(lengths)], rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_borders_of_a_map_are_those_of_the_loop(seed):
    labels, _, boundary = drawn(seed)
    graph = region_graph(labels, boundary=boundary)
    expected = by_loop(labels, lambda one, other: (boundary[one] + boundary[other]) / 2)
    require_borders(graph, *expected)
    assert graph.means.shape == (len(graph.areas), 0) and not graph.spreads.any()


@pytest.mark.parametrize("stride", [1, 2])
def test_without_a_map_borders_are_as_strong_as_features_differ(stride):
    labels, features, _ = drawn(0, stride=stride)
    rows, columns = (nearest_cells(side, stride) for side in labels.shape)
    rows, columns = (
        np.minimum(rows, features.shape[1] - 1),
        np.minimum(columns, features.shape[2] - 1),
    )
    pixels = features[:, rows][:, :, columns]

    def difference(one, other):
        return np.sqrt(((pixels[:, *one] - pixels[:, *other]) ** 2).mean())

    graph = region_graph(labels, features, stride=stride)
    require_borders(graph, *by_loop(labels, difference))
    for region in range(len(graph.areas)):
        inside = pixels[:, labels == region + 1]
        assert graph.areas[region] == inside.shape[1]
        np.testing.assert_allclose(graph.means[region], inside.mean(axis=1), atol=1e-12)
        np.testing.assert_allclose(graph.spreads[region], inside.var(axis=1).mean(), atol=1e-12)


@pytest.mark.parametrize("move", [lambda x: x[..., ::-1], lambda x: np.swapaxes(x, -1, -2)])
def test_a_moved_image_has_the_same_graph(move):
    labels, features, boundary = drawn(1)
    graph = region_graph(labels, features, boundary)
    moved = region_graph(*(np.ascontiguousarray(move(x)) for x in (labels, features, boundary)))
    np.testing.assert_array_equal(moved.pairs, graph.pairs)
    np.testing.assert_array_equal(moved.lengths, graph.lengths)
    for name in ("sums", "means", "spreads"):
        np.testing.assert_allclose(getattr(moved, name), getattr(graph, name), atol=1e-12)


def test_features_of_half_precision_are_summed_in_double():
    labels, features, _ = drawn(2)
    half = features.astype(np.float16)
    found, expected = region_graph(labels, half), region_graph(labels, half.astype(np.float64))
    np.testing.assert_array_equal(found.means, expected.means)


def test_one_region_has_no_borders():
    graph = region_graph(np.ones((1, 1), np.int32), np.ones((2, 1, 1)))
    assert graph.pairs.shape == (0, 2) and graph.strengths.shape == (0,)
    assert graph.means.tolist() == [[1, 1]] and graph.spreads.tolist() == [0]


NOT_A_NUMBER = np.full((2, 4, 6), np.nan)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((np.zeros((4, 6), np.int32),), "from 1 without a gap"),
        ((np.full((4, 6), 2, np.int32),), "from 1 without a gap"),
        ((np.zeros((0, 6), np.int32),), "from 1 without a gap"),
        ((np.ones((4, 6), np.int32), np.zeros((2, 6, 4))), "features of 6x4 .* need 4x6"),
        ((np.ones((4, 6), np.int32), None, np.zeros((4, 5))), "boundary map of 4x5 .* need 4x6"),
        ((np.ones((4, 6), np.int32), NOT_A_NUMBER), "features: values are not finite"),
        ((np.ones((4, 6), np.int32), None, NOT_A_NUMBER[0]), "map: values are not finite"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(given, told):
    with pytest.raises(ValueError, match=told) as error:
        region_graph(*given)
    assert "\n" not in str(error.value)
