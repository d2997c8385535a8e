import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskspace.data.chamfer import DIAGONAL, KNIGHT, STRAIGHT, UNIT, chamfer_depth
from maskspace.data.clicks import depth

STACKS = st.builds(
    lambda drawn, share: drawn < share,
    arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.integers(0, 99)),
    st.sampled_from([30, 80, 95, 100]),
)


def by_relaxation(masks):
    """Take every step from every pixel until nothing gets shorter."""
    steps = {(0, 1): STRAIGHT, (1, 0): STRAIGHT, (1, 1): DIAGONAL, (1, 2): KNIGHT, (2, 1): KNIGHT}
    signed = {(a * y, b * x): c for (y, x), c in steps.items() for a in (1, -1) for b in (1, -1)}
    height, width = masks.shape[1:]
    best = np.pad(np.where(masks, 10**8, 0), ((0, 0), (2, 2), (2, 2)))
    while True:
        inside = [
            best[:, 2 + y : 2 + y + height, 2 + x : 2 + x + width] + cost
            for (y, x), cost in signed.items()
        ]
        lower = best.copy()
        lower[:, 2:-2, 2:-2] = np.minimum(best[:, 2:-2, 2:-2], np.min(inside, axis=0))
        if (lower == best).all():
            return best[:, 2:-2, 2:-2]
        best = lower


@settings(deadline=None)
@given(STACKS)
def test_depths_are_the_cheapest_paths_to_the_outside(masks):
    np.testing.assert_array_equal(chamfer_depth(masks), by_relaxation(masks))


@given(STACKS)
def test_flips_and_transposition_commute_with_depths(masks):
    depths = chamfer_depth(masks)
    np.testing.assert_array_equal(chamfer_depth(masks[:, ::-1]), depths[:, ::-1])
    np.testing.assert_array_equal(chamfer_depth(masks[:, :, ::-1]), depths[:, :, ::-1])
    np.testing.assert_array_equal(
        chamfer_depth(masks.transpose(0, 2, 1)), depths.transpose(0, 2, 1)
    )


@given(STACKS)
def test_each_mask_is_measured_by_itself(masks):
    apart = np.concatenate([chamfer_depth(mask[None]) for mask in masks])
    np.testing.assert_array_equal(chamfer_depth(masks), apart)


def test_depths_are_within_three_hundredths_of_euclid():
    masks = np.random.default_rng(0).random((1, 120, 150)) < 0.9995
    np.testing.assert_allclose(chamfer_depth(masks)[0] / UNIT, depth(masks[0]), rtol=0.03)


def test_no_mask_and_empty_and_full_masks_have_depths():
    assert chamfer_depth(np.zeros((0, 4, 5), bool)).shape == (0, 4, 5)
    assert not chamfer_depth(np.zeros((2, 4, 5), bool)).any()
    assert chamfer_depth(np.ones((1, 3, 3), bool))[0].tolist() == [
        [UNIT, UNIT, UNIT],
        [UNIT, 2 * UNIT, UNIT],
        [UNIT, UNIT, UNIT],
    ]


def test_depths_are_those_recorded_from_opencv(vectors):
    recorded = json.loads((vectors / "segnext_vectors.json").read_text())
    case = recorded["distance_transform_mask_size"]
    mask = np.array([[pixel == "#" for pixel in row] for row in case["mask"]])
    depths = (chamfer_depth(mask[None])[0] / UNIT).astype(np.float32)
    np.testing.assert_array_equal(depths, np.array(case["train_maskSize_5"], np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 40), (1, 40, 1)])
def test_a_line_is_one_pixel_deep(shape):
    assert (chamfer_depth(np.ones(shape, bool)) == UNIT).all()
