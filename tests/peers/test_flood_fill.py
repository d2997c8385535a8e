from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.peers.flood_fill import flood_fill
from maskspace.types import Click

IMAGES = arrays(np.uint8, (6, 7, 3), elements=st.sampled_from([0, 10, 20, 200, 255]))


def reached(image: np.ndarray, x: int, y: int, tolerance: int) -> np.ndarray:
    """Return the flood by steps to the four neighbours."""
    near = (np.abs(image.astype(int) - image[y, x].astype(int)) <= tolerance).all(axis=2)
    mask, border = np.zeros(near.shape, bool), [(y, x)]
    while border:
        row, column = border.pop()
        inside = 0 <= row < near.shape[0] and 0 <= column < near.shape[1]
        if inside and near[row, column] and not mask[row, column]:
            mask[row, column] = True
            border += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return mask


@given(IMAGES, st.integers(0, 6), st.integers(0, 5), st.sampled_from([0, 9, 10, 190, 255]))
def test_the_flood_is_what_steps_of_near_colour_reach(image, x, y, tolerance):
    mask = flood_fill(image, tolerance=tolerance)([Click(x, y)])
    np.testing.assert_array_equal(mask, reached(image, x, y, tolerance))


@given(IMAGES)
def test_more_tolerance_never_reaches_less(image):
    masks = [flood_fill(image, tolerance=t)([Click(3, 2)]) for t in (0, 10, 55, 255)]
    for less, more in pairwise(masks):
        assert not (less & ~more).any()
    assert masks[-1].all()


@given(IMAGES)
def test_floods_join_and_those_of_negative_clicks_are_taken_away(image):
    answer = flood_fill(image, tolerance=10)
    first, second, third = (answer([Click(x, x)]) for x in (0, 3, 5))
    clicks = [Click(0, 0), Click(5, 5, positive=False), Click(3, 3)]
    np.testing.assert_array_equal(answer(clicks), (first | second) & ~third)
