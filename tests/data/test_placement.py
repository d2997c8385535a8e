import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.data.placement import (
    letterbox,
    place_click,
    place_image,
    place_masks,
    place_points,
    stretch,
    unplace_click,
    unplace_masks,
    unplace_points,
)
from maskspace.types import Click

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


@given(policies, sizes, sizes, st.data())
def test_clicks_come_back_where_they_were(policy, source, canvas, data):
    placement = policy(source, canvas)
    click = Click(
        data.draw(st.integers(0, source[1] - 1)), data.draw(st.integers(0, source[0] - 1))
    )
    there = place_click(click, placement)
    back = unplace_click(there, placement)
    assert place_click(back, placement) == there or any(
        a > b for a, b in zip(placement.inner_hw, source, strict=True)
    )
    for moved, own, inner, whole in (
        (back.x, click.x, placement.inner_hw[1], source[1]),
        (back.y, click.y, placement.inner_hw[0], source[0]),
    ):
        assert moved == own if inner >= whole else abs(moved - own) <= whole / inner / 2 + 1


@given(policies, sizes, sizes, st.lists(st.tuples(*[st.floats(0, 40)] * 2), max_size=5))
def test_points_are_the_inverse_of_each_other(policy, source, canvas, points):
    placement = policy(source, canvas)
    given_xy = np.array(points, np.float64).reshape(-1, 2)
    np.testing.assert_allclose(
        unplace_points(place_points(given_xy, placement), placement), given_xy, atol=1e-9
    )


@given(policies, sizes, sizes, st.data())
def test_a_click_is_the_pixel_of_its_centre(policy, source, canvas, data):
    placement = policy(source, canvas)
    x, y = data.draw(st.integers(0, source[1] - 1)), data.draw(st.integers(0, source[0] - 1))
    there = place_click(Click(x, y), placement)
    centre = place_points(np.array([[x + 0.5, y + 0.5]]), placement)[0]
    assert there.x <= centre[0] + 1e-9 and centre[0] - 1e-9 < there.x + 1
    assert there.y <= centre[1] + 1e-9 and centre[1] - 1e-9 < there.y + 1


@given(policies, sizes, sizes, st.integers(0, 9))
def test_masks_are_sampled_where_clicks_land_and_come_back_unless_shrunk(
    policy, source, canvas, seed
):
    placement = policy(source, canvas)
    masks = np.random.default_rng(seed).random((2, *source)) < 0.5
    placed = place_masks(masks, placement)
    assert placed.shape[1:] == canvas
    (top, left), (rows, columns) = placement.corner_yx, placement.inner_hw
    outside = placed.copy()
    outside[:, top : top + rows, left : left + columns] = False
    assert not outside.any()
    for y, x in ((top, left), (top + rows - 1, left + columns - 1)):
        own = unplace_click(Click(x, y), placement)
        assert (placed[:, y, x] == masks[:, own.y, own.x]).all()
    if rows >= source[0] and columns >= source[1]:
        np.testing.assert_array_equal(unplace_masks(placed, placement), masks)


def test_an_image_lies_where_its_masks_do():
    mask = np.zeros((30, 50), bool)
    mask[5:20, 10:45] = True
    image = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 200
    placement = letterbox((30, 50), (100, 100))
    assert placement.inner_hw == (60, 100) and placement.corner_yx == (20, 0)
    placed = place_image(image, placement, fill=9)
    assert (placed[:20] == 9).all() and (placed[80:] == 9).all()
    agree = (placed[20:80, :, 0] > 100) == place_masks(mask[None], placement)[0, 20:80]
    assert agree.mean() > 0.98


def test_what_does_not_fit_is_refused():
    placement = letterbox((4, 8), (8, 8))
    with pytest.raises(ValueError, match="not on the image"):
        unplace_click(Click(0, 0), placement)
    with pytest.raises(ValueError, match="not on the image"):
        place_click(Click(8, 0), placement)
    with pytest.raises(ValueError, match="the array is"):
        place_masks(np.zeros((1, 8, 4), bool), placement)
    with pytest.raises(ValueError, match="need a pixel"):
        stretch((0, 4), (8, 8))
