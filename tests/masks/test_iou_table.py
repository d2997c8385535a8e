import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from maskspace import masks
from maskspace.masks import iou_table as module
from maskspace.masks.iou_table import iou_table, iou_table_of_strings
from maskspace.masks.runs import scan_runs

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 9))


@st.composite
def pairs(draw):
    size = draw(SIZES)
    return [draw(arrays(bool, (draw(st.integers(0, 5)), *size))) for _ in range(2)]


def blobs(generator, number, side=96):
    """Return smooth masks that overlap and nest, some empty, some full, some twice."""
    rows, columns = np.mgrid[:side, :side]
    y, x, radius = generator.integers(0, side, (3, number, 1, 1))
    stack = (rows - y) ** 2 + (columns - x) ** 2 < (radius / 3) ** 2
    stack[generator.random(number) < 0.1] = False
    stack[generator.random(number) < 0.05] = True
    return stack[generator.integers(0, number, number)] if number else stack


def by_pixels(predicted, true):
    return np.array(
        [[(p & t).sum() / max(1, (p | t).sum()) for t in true] for p in predicted]
    ).reshape(len(predicted), len(true))


@given(pairs())
def test_is_counted_pixel_by_pixel(pair):
    predicted, true = pair
    expected = by_pixels(predicted, true)
    np.testing.assert_array_equal(iou_table(predicted, true), expected)
    strings = masks.encode(predicted), masks.encode(true)
    np.testing.assert_array_equal(iou_table_of_strings(*strings, true.shape[1:]), expected)


@pytest.mark.parametrize(("left", "right"), [(60, 9), (9, 60), (70, 70), (1, 1), (0, 4), (4, 0)])
def test_is_bit_for_bit_that_of_dense_products(left, right):
    generator = np.random.default_rng(left)
    predicted, true = blobs(generator, left), blobs(generator, right)
    np.testing.assert_array_equal(iou_table(predicted, true), masks.pairwise_iou(predicted, true))


def test_equals_pycocotools_from_strings():
    generator = np.random.default_rng(0)
    predicted, true = blobs(generator, 50), blobs(generator, 20)
    strings = masks.encode(predicted), masks.encode(true)
    given_, truth = (
        [{"size": [96, 96], "counts": one.encode()} for one in some] for some in strings
    )
    filled = [mask.any() for mask in predicted], [mask.any() for mask in true]
    expected = np.array(coco.iou(given_, truth, [0] * 20))
    found = iou_table_of_strings(*strings, (96, 96))
    np.testing.assert_array_equal(found[np.ix_(*filled)], expected[np.ix_(*filled)])


def test_halves_change_no_bit(monkeypatch):
    generator = np.random.default_rng(1)
    predicted, true = blobs(generator, 40), blobs(generator, 35)
    expected = masks.pairwise_iou(predicted, true)
    monkeypatch.setattr(module, "_NOTED", 3)
    np.testing.assert_array_equal(iou_table(predicted, true), expected)


def test_labels_that_touch_are_counted_apart():
    labels = np.kron(np.arange(9).reshape(3, 3), np.ones((5, 4), int))
    _, true = masks.from_label_map(labels)
    np.testing.assert_array_equal(iou_table(true[::-1], true), np.eye(8)[::-1])


def test_noise_is_exact_too():
    predicted, true = np.random.default_rng(0).random((2, 12, 33, 31)) < 0.5
    expected = masks.pairwise_iou(predicted, true)
    np.testing.assert_array_equal(iou_table(predicted, true), expected)
    strings = masks.encode(predicted), masks.encode(true)
    np.testing.assert_array_equal(iou_table_of_strings(*strings, (33, 31)), expected)


@given(arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 9))))
def test_runs_paint_the_masks(stack):
    runs = scan_runs(stack)
    painted = np.zeros((len(stack), stack[0].size if len(stack) else 0), bool)
    for mask, start, length in zip(runs.mask, runs.start, runs.length, strict=True):
        assert not painted[mask, max(start - 1, 0) : start + length].any()
        painted[mask, start : start + length] = True
    np.testing.assert_array_equal(painted.reshape(stack.shape), stack)


@pytest.mark.parametrize("width", [1, 127, 128, 129, 300])
def test_runs_are_found_wherever_they_begin_and_end(width):
    generator = np.random.default_rng(width)
    stack = generator.random((40, 3, width)) < generator.choice([0, 0.01, 0.3, 1], (40, 1, 1))
    np.testing.assert_array_equal(iou_table(stack, stack[:7]), by_pixels(stack, stack[:7]))
    assert scan_runs(stack).areas().tolist() == masks.areas(stack).tolist()


def test_views_that_are_not_contiguous_count_the_same():
    generator = np.random.default_rng(2)
    predicted, true = blobs(generator, 20)[:, ::2, ::-1], blobs(generator, 8)[:, ::2, ::-1]
    expected = masks.pairwise_iou(predicted, true)
    np.testing.assert_array_equal(iou_table(predicted, true), expected)


def test_masks_without_pixels_have_no_iou():
    nothing = np.zeros((3, 0, 4), bool)
    assert (iou_table(nothing, nothing[:2]) == np.zeros((3, 2))).all()


def test_strings_of_another_size_are_refused():
    strings = masks.encode(np.ones((1, 4, 4), bool))
    with pytest.raises(ValueError, match="run lengths cover 16 pixels"):
        iou_table_of_strings(strings, strings, (4, 5))
