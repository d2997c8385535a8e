import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks
from maskspace.metrics.covering import best_overlaps, covering

PARTITIONS = arrays(np.int64, (5, 6), elements=st.integers(1, 4))


@given(PARTITIONS, PARTITIONS)
def test_best_overlaps_equal_mask_iou(predicted, true):
    area, best = best_overlaps(predicted, true)
    _, regions = masks.from_label_map(predicted)
    _, truths = masks.from_label_map(true)
    assert area.tolist() == masks.areas(truths).tolist()
    np.testing.assert_allclose(best, masks.pairwise_iou(regions, truths).max(axis=0))


def test_perfect_covers_all_and_a_half_covers_half():
    true = np.array([[1, 1, 2, 2]])
    assert covering(true * 3, [true]) == 1
    assert covering(np.ones((1, 4), int), [true]) == 0.5


def test_annotators_are_pooled_by_area():
    predicted = np.array([[1, 1, 1, 2]])
    first, second = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 0]])
    pooled = (2 * (2 / 3) + 2 * (1 / 2) + 3 * 1) / 7
    assert covering(predicted, [first, second]) == pytest.approx(pooled)
