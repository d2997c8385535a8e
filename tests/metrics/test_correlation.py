import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from maskspace.metrics.correlation import pearson, spearman

VALUES = arrays(np.float64, (2, 8), elements=st.integers(0, 6).map(float))


@given(VALUES)
def test_equals_scipy(values):
    first, second = values
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert pearson(first, second) is None and spearman(first, second) is None
        return
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second)[0])
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second)[0])


def test_a_monotone_change_keeps_the_rank_correlation():
    first = np.random.default_rng(0).random(20)
    assert spearman(first, np.exp(5 * first)) == pytest.approx(1)
    assert spearman(first, -first) == pytest.approx(-1)
    assert pearson(first, 2 - 3 * first) == pytest.approx(-1)


def test_fewer_than_two_images_have_no_correlation():
    assert pearson(np.array([0.5]), np.array([0.5])) is None
