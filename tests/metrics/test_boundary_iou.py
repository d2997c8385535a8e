import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks
from maskspace.metrics.boundary_iou import boundary_iou, inner_bands

STACKS = arrays(bool, (3, 9, 12), elements=st.sampled_from([True, True, True, False]))


@given(STACKS, st.sampled_from([0.01, 0.1, 0.2]))
def test_bands_hold_what_has_an_outside_pixel_within_the_width(stack, width):
    pixels = max(1, round(width * 15))
    padded = np.pad(stack, ((0, 0), (pixels, pixels), (pixels, pixels)))
    for (n, y, x), found in np.ndenumerate(inner_bands(stack, width=width)):
        window = padded[n, y : y + 2 * pixels + 1, x : x + 2 * pixels + 1]
        assert found == (stack[n, y, x] and not window.all())


def test_bands_equal_the_authors_erosion():
    cv2 = pytest.importorskip("cv2")
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:150, :200]
    for _ in range(5):
        y, x, radius = generator.integers(10, 150, 3)
        mask = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        core = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=round(0.02 * 250))
        expected = mask & (core[1:-1, 1:-1] == 0)
        np.testing.assert_array_equal(inner_bands(mask[None])[0], expected)


def test_wide_bands_are_whole_masks():
    stack = np.random.default_rng(0).random((4, 10, 10)) < 0.6
    np.testing.assert_array_equal(inner_bands(stack, width=1.0), stack)
    own = np.diag(masks.pairwise_iou(stack, stack[::-1]))
    np.testing.assert_array_equal(boundary_iou(stack, stack[::-1], width=1.0), own)


def test_perfect_is_one_and_inner_errors_do_not_count():
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 20:80, 20:80] = True
    hole = mask.copy()
    hole[0, 45:55, 45:55] = False
    assert boundary_iou(mask, mask).tolist() == [1]
    assert 0 < boundary_iou(hole, mask)[0] < 1  # the hole has a boundary of its own
    small = mask.copy()
    small[0, 20:80, 20:22] = False
    assert boundary_iou(small, mask)[0] < (small & mask).sum() / mask.sum()
    assert np.isnan(boundary_iou(mask & False, mask & False)[0])
