import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import variation_of_information as reference

from maskspace.metrics.information import conditional_entropies, variation_of_information

PARTITIONS = arrays(np.int64, (5, 6), elements=st.integers(1, 4))


@given(PARTITIONS, PARTITIONS)
def test_equals_scikit_image_in_nats(predicted, true):
    merged_wrongly, split_wrongly = np.array(reference(true, predicted)) * np.log(2)
    over, under = conditional_entropies(predicted, true)
    assert {round(over, 10), round(under, 10)} == {
        round(float(abs(merged_wrongly)), 10),
        round(float(abs(split_wrongly)), 10),
    }


@given(PARTITIONS, PARTITIONS, PARTITIONS)
def test_is_a_distance(a, b, c):
    assert variation_of_information(a, a) == 0
    assert variation_of_information(a, b) == pytest.approx(variation_of_information(b, a))
    direct, detour = variation_of_information(a, c), variation_of_information(a, b)
    assert direct <= detour + variation_of_information(b, c) + 1e-12


def test_a_split_region_is_over_segmentation_of_log_two():
    split, whole = np.array([[1, 1, 2, 2]]), np.ones((1, 4), int)
    assert conditional_entropies(split, whole) == pytest.approx((np.log(2), 0))
    assert conditional_entropies(whole, split) == pytest.approx((0, np.log(2)))
