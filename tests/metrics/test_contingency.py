import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.metrics.contingency import contingency

LABELS = arrays(np.int64, (5, 6), elements=st.integers(0, 4))


@given(LABELS, LABELS)
def test_cells_and_margins_equal_the_sums_over_pixels(predicted, true):
    true[0, 0] = 1
    table = contingency(predicted, true)
    counted = true != 0
    rows, columns = np.unique(predicted[counted]), np.unique(true[counted])
    for row, column, shared in zip(table.predicted, table.true, table.shared, strict=True):
        assert shared == ((predicted == rows[row]) & (true == columns[column])).sum()
    assert table.pixels == counted.sum()
    assert table.predicted_areas.tolist() == [(predicted[counted] == r).sum() for r in rows]
    assert table.true_areas.tolist() == [(true == c).sum() for c in columns]


def test_many_regions_need_no_dense_table():
    labels = np.arange(1, 400 * 400 + 1).reshape(400, 400)
    assert len(contingency(labels, labels).shared) == labels.size


def test_a_truth_without_labels_is_refused():
    with pytest.raises(ValueError, match="no labelled pixel"):
        contingency(np.ones((2, 2), int), np.zeros((2, 2), int))
