import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.data.placement import letterbox, stretch

sides = st.integers(1, 40)
sizes = st.tuples(sides, sides)
policies = st.sampled_from([letterbox, stretch])


@given(sizes, sizes)
def test_a_letterbox_fills_a_side_keeps_the_aspect_and_is_central(source, canvas):
    placement = letterbox(source, canvas)
    inner = placement.inner_hw
    assert inner[0] == canvas[0] or inner[1] == canvas[1]
    assert inner[0] <= canvas[0] and inner[1] <= canvas[1]
    scale = min(canvas[0] / source[0], canvas[1] / source[1])
    for side, own in zip(inner, source, strict=True):
        assert abs(side - scale * own) <= 0.5 + 1e-9 or side == 1
    for side, whole, corner in zip(inner, canvas, placement.corner_yx, strict=True):
        assert 0 <= whole - side - 2 * corner <= 1


@given(policies, sizes, sizes)
def test_the_nearest_row_and_column_hold_the_centre_of_a_pixel(policy, source, canvas):
    placement = policy(source, canvas)
    for nearest, own, inner in zip(placement.nearest, source, placement.inner_hw, strict=True):
        centres = (np.arange(inner) + 0.5) * own / inner
        assert (nearest <= centres + 1e-9).all() and (centres - 1e-9 < nearest + 1).all()
        assert (np.diff(nearest) >= 0).all() and nearest[-1] < own
    canvas_part = np.zeros(canvas)[placement.inside]
    assert canvas_part.shape == placement.inner_hw


def test_an_image_without_a_pixel_is_refused():
    with pytest.raises(ValueError, match="need a pixel"):
        stretch((0, 4), (8, 8))
