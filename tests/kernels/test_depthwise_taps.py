import numpy as np
import pytest

from maskspace.kernels.depthwise_taps import depthwise_taps


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_taps_are_sums_of_products(kernel, stride):
    rng = np.random.default_rng(kernel)
    grad = rng.normal(size=(2, 4, 3, 5)).astype(np.float32)
    x = rng.normal(size=(2, 3 * stride + kernel, 2 * stride + kernel, 5)).astype(np.float32)
    found = np.zeros((kernel, kernel, 5), np.float32)
    depthwise_taps(x, grad, stride, found)
    for i in range(kernel):
        for j in range(kernel):
            under = x[:, i : i + 3 * stride + 1 : stride, j : j + 2 * stride + 1 : stride]
            np.testing.assert_allclose(found[i, j], (under * grad).sum((0, 1, 2)), rtol=1e-4)
