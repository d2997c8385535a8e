import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.metrics.rand import probabilistic_rand_index, rand_index

PARTITIONS = arrays(np.int64, (4, 5), elements=st.integers(1, 4))


def by_pairs(predicted, true):
    agree = [
        (predicted.flat[i] == predicted.flat[j]) == (true.flat[i] == true.flat[j])
        for i, j in itertools.combinations(range(true.size), 2)
        if true.flat[i] and true.flat[j]
    ]
    return sum(agree) / len(agree)


@given(PARTITIONS, PARTITIONS)
def test_equals_the_count_over_all_pairs(predicted, true):
    assert rand_index(predicted, true) == pytest.approx(by_pairs(predicted, true), abs=1e-15)


@given(PARTITIONS, PARTITIONS)
def test_is_symmetric_and_blind_to_names(predicted, true):
    assert rand_index(predicted, true) == rand_index(true, predicted)
    assert rand_index(predicted, true) == rand_index(7 - predicted, true)


def test_perfect_is_one_and_opposite_is_zero():
    one, each = np.ones((3, 3), int), np.arange(1, 10).reshape(3, 3)
    assert rand_index(each, each) == rand_index(one, one) == 1
    assert rand_index(one, each) == 0


def test_unlabelled_pixels_are_not_counted():
    true = np.array([[1, 1, 2, 2, 0]])
    assert rand_index(np.array([[1, 1, 2, 2, 1]]), true) == 1


def test_one_pixel_has_no_pair_to_disagree_on():
    assert rand_index(np.array([[1]]), np.array([[1]])) == 1


def test_probabilistic_index_is_the_mean_over_annotators():
    generator = np.random.default_rng(0)
    predicted, *annotators = generator.integers(1, 5, (4, 6, 7))
    expected = np.mean([rand_index(predicted, one) for one in annotators])
    assert probabilistic_rand_index(predicted, annotators) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no true label map"):
        probabilistic_rand_index(predicted, [])


def test_twelve_megapixels_do_not_overflow():
    labels = np.ones((3000, 4000), np.int32)
    assert rand_index(labels, labels) == 1
