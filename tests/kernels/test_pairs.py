import numpy as np
import torch

from maskspace.kernels.pairs import gaussian_errors
from maskspace.kernels.takes import kernels_take


def test_loops_are_for_single_precision():
    assert kernels_take(torch.zeros(1))
    assert not kernels_take(torch.zeros(1).double())
    assert not kernels_take(torch.zeros(1, device="meta"))


def test_errors_are_those_of_the_exponential():
    number = 3000  # more than a block
    exponents = np.linspace(0, 100, number, dtype=np.float32)
    exponents[:4] = [np.nan, np.inf, 1e-9, 3e38]
    errors, true = np.empty((2, number), np.float32), np.empty((2, number), np.bool_)
    slot = np.where(np.arange(number) % 3 > 0, -1, 1).astype(np.int32)
    gaussian_errors(
        np.sqrt(exponents)[None],
        slot,
        np.arange(2),
        np.zeros((2, 1), np.float32),
        np.ones((2, 1), np.float32),
        errors,
        true,
    )
    phi = np.exp(-(np.sqrt(exponents).astype(np.float64) ** 2))
    expected = np.stack([phi, np.where(slot == 1, 1 - phi, phi)])
    np.testing.assert_allclose(errors, expected, rtol=2e-5, atol=1e-37)
    assert np.array_equal(true, [np.zeros(number, np.bool_), slot == 1])
