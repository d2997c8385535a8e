import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks
from maskspace.data.clicks import center_click, depth, random_click

MASKS = arrays(bool, (6, 7)).filter(lambda mask: mask.any())


def squared_depths(mask):
    """Return by brute force the squared distance of each pixel to the padded outside."""
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    inside = np.argwhere(np.ones(mask.shape, bool)) + 1
    squared = ((inside[:, None] - outside[None]) ** 2).sum(axis=2).min(axis=1)
    return squared.reshape(mask.shape)


@given(MASKS)
def test_depth_is_the_distance_to_the_nearest_pixel_outside(mask):
    np.testing.assert_array_equal(depth(mask), np.sqrt(squared_depths(mask)))


@given(MASKS)
def test_center_is_the_first_deepest_pixel_in_row_major_order(mask):
    click = center_click(mask)
    deepest = np.argwhere(squared_depths(mask) == squared_depths(mask).max())
    assert (click.y, click.x) == tuple(deepest[0])
    assert mask[click.y, click.x] and click.positive


@given(MASKS, st.integers(0, 5), st.integers(0, 5))
def test_center_moves_with_the_mask(mask, rows, columns):
    moved = np.pad(mask, ((rows, 3), (columns, 2)))
    before, after = center_click(mask), center_click(moved)
    assert (after.x, after.y) == (before.x + columns, before.y + rows)


def test_the_border_of_the_image_is_outside():
    click = center_click(np.ones((5, 9), bool))
    assert (click.x, click.y) == (2, 2)


@given(MASKS, st.integers(0, 99))
def test_random_click_is_inside_and_repeats(mask, seed):
    click = random_click(mask, seed=seed, key="image", mask_id=3)
    assert mask[click.y, click.x]
    assert click == random_click(mask, seed=seed, key="image", mask_id=3)


def test_random_clicks_differ_by_seed_key_and_mask_and_reach_every_pixel():
    mask = np.zeros((40, 40), bool)
    mask[3:33, 5:35] = True
    names = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2)]
    drawn = {random_click(mask, seed=s, key=k, mask_id=i) for s, k, i in names}
    assert len(drawn) == len(names)
    small = mask[:4, :7]
    reached = {random_click(small, seed=s, key="a", mask_id=1) for s in range(60)}
    assert {(c.x, c.y) for c in reached} == {(5, 3), (6, 3)}


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty mask"):
        center_click(np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="empty mask"):
        random_click(np.zeros((3, 3), bool), seed=0, key="a", mask_id=1)


def test_centers_of_a_photos_regions_lie_inside_them(assets):
    from PIL import Image

    path = sorted(assets.glob("bsds500/val/groundTruth/*.png"))[0]
    _, truths = masks.from_label_map(np.asarray(Image.open(path)).astype(np.int64))
    for mask in truths:
        click = center_click(mask)
        assert mask[click.y, click.x]
