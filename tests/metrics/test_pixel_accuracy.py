import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.metrics.pixel_accuracy import (
    class_tallies,
    mean_class_iou,
    mean_pixel_accuracy,
    pixel_accuracy,
)

MAPS = arrays(np.int64, (4, 5), elements=st.integers(0, 3))


@given(MAPS, MAPS)
def test_equal_the_sums_over_pixels(predicted, true):
    true[0, 0] = 2
    tallies = class_tallies(predicted, true, classes=5)[None].astype(float)
    labelled = true != 0
    right = predicted == true
    assert pixel_accuracy(tallies) == pytest.approx(right[labelled].mean())
    present = np.unique(true[labelled])
    each = [right[true == label].mean() for label in present]
    assert mean_pixel_accuracy(tallies) == pytest.approx(np.mean(each))
    seen = set(present) | set(predicted[labelled]) - {0}
    ious = [
        (right & labelled & (true == label)).sum()
        / (labelled & ((true == label) | (predicted == label))).sum()
        for label in seen
    ]
    assert mean_class_iou(tallies) == pytest.approx(np.mean(ious))


def test_images_add_up():
    maps = np.random.default_rng(0).integers(0, 4, (2, 2, 6, 6))
    parts = [class_tallies(p, t, classes=3) for p, t in maps]
    side_by_side = (np.hstack([maps[0, way], maps[1, way]]) for way in (0, 1))
    both = class_tallies(*side_by_side, classes=3)
    np.testing.assert_array_equal(parts[0] + parts[1], both)
    # several sums at once, as resamples are: each its own number
    sums = np.stack([parts[0], both]).astype(float)
    for metric in (pixel_accuracy, mean_pixel_accuracy, mean_class_iou):
        assert metric(sums).tolist() == [metric(one[None]).item() for one in sums]


def test_perfect_is_one_and_a_rare_class_weighs_as_much_as_a_common_one():
    true = np.array([[1] * 9 + [2]])
    perfect = class_tallies(true, true, classes=2)[None].astype(float)
    common = class_tallies(true**0, true, classes=2)[None].astype(float)
    assert pixel_accuracy(perfect) == mean_pixel_accuracy(perfect) == mean_class_iou(perfect) == 1
    assert pixel_accuracy(common) == 0.9 and mean_pixel_accuracy(common) == 0.5


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match=r"classes 0\.\.3 in a map"):
        class_tallies(np.full((1, 1), 3), np.full((1, 1), 1), classes=2)
    nothing = class_tallies(np.ones((2, 2), int), np.zeros((2, 2), int), classes=1)[None] * 1.0
    for metric in (pixel_accuracy, mean_pixel_accuracy, mean_class_iou):
        with pytest.raises(ValueError, match="no labelled pixel"):
            metric(nothing)
