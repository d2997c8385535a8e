import numpy as np
import pytest

from maskspace.partition.resample import resize_maps, stack_levels


def test_the_same_size_and_a_constant_stay():
    maps = np.random.default_rng(0).random((3, 5, 6)).astype(np.float32)
    assert resize_maps(maps, (5, 6)) is maps
    np.testing.assert_allclose(
        resize_maps(np.full((2, 3, 4), 0.7, np.float32), (9, 7)), 0.7, rtol=1e-6
    )
    assert resize_maps(maps[:0], (9, 7)).shape == (0, 9, 7)


def test_enlarging_commutes_with_flipping():
    maps = np.random.default_rng(0).random((2, 4, 6)).astype(np.float32)
    flipped = resize_maps(np.ascontiguousarray(maps[:, ::-1, ::-1]), (13, 17))
    np.testing.assert_allclose(flipped, resize_maps(maps, (13, 17))[:, ::-1, ::-1], atol=1e-6)


def test_every_level_counts_the_same_in_the_mean_square():
    rng = np.random.default_rng(0)
    levels = {1: np.full((3, 8, 8), 0.5, np.float32), 4: np.full((48, 2, 2), 0.1, np.float32)}
    stacked = stack_levels(levels, (1, 4))
    assert stacked.shape == (51, 8, 8)
    np.testing.assert_allclose((stacked**2).mean(), (0.5**2 + 0.1**2) / 2, rtol=1e-5)
    one = {2: rng.random((12, 4, 4)).astype(np.float32)}
    assert stack_levels(one, (2,)) is one[2]


def test_a_level_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="strides 1"):
        stack_levels({1: np.zeros((3, 4, 4), np.float32)}, (1, 8))
