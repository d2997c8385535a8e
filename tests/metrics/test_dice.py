import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import arrays

from maskspace.metrics.clicks_to_iou import click_iou
from maskspace.metrics.dice import dice

STACKS = arrays(bool, (3, 3, 4))


@given(STACKS, STACKS, arrays(bool, (3, 4)))
def test_is_a_function_of_iou(predicted, true, ignore):
    iou = click_iou(predicted, true, ignore)
    np.testing.assert_allclose(dice(predicted, true, ignore), 2 * iou / (1 + iou))
    np.testing.assert_array_equal(dice(predicted, true, ignore), dice(true, predicted, ignore))


def test_perfect_opposite_and_nothing():
    mask = np.eye(4, dtype=bool)[None]
    assert dice(mask, mask).tolist() == [1] and dice(~mask, mask).tolist() == [0]
    assert np.isnan(dice(mask & False, mask & False)[0])
