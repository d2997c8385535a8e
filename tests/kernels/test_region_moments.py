import numpy as np
import pytest

from maskspace.kernels.region_moments import region_moments


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_means_and_squares_are_those_of_each_region_by_itself(stride):
    rng = np.random.default_rng(stride)
    labels = rng.integers(1, 6, (9, 11)).astype(np.int32)
    feature = rng.normal(1e3, 1, (-(-9 // stride), -(-11 // stride)))
    rows, columns = np.arange(9) // stride, np.arange(11) // stride
    areas = np.bincount(labels.ravel())[1:]
    means, squares = np.full(5, np.nan), np.zeros(5)
    region_moments(labels, feature, rows, columns, areas, means, squares)
    pixels = feature[rows][:, columns]
    for region in range(5):
        inside = pixels[labels == region + 1]
        np.testing.assert_allclose(means[region], inside.mean())
        np.testing.assert_allclose(squares[region], inside.var() * areas[region])
