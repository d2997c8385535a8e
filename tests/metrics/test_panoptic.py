import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.metrics.panoptic import panoptic_counts, panoptic_quality, panoptic_summary

MAPS = arrays(np.int64, (4, 5), elements=st.integers(0, 3))
CLASSES = {1: 0, 2: 1, 3: 1}


def by_hand(predicted, true, predicted_classes, true_classes, classes):
    """Return iou, matched, only predicted, only true, by class, from the definition."""
    counts = np.zeros((4, classes))
    taken_p, taken_t = set(), set()
    for p in set(predicted.ravel().tolist()) - {0}:
        for t in set(true.ravel().tolist()) - {0}:
            a, b = (predicted == p) & (true != 0), true == t
            iou = (a & b).sum() / (a | b).sum()
            if iou > 0.5 and predicted_classes[p] == true_classes[t]:
                counts[:2, true_classes[t]] += iou, 1
                taken_p.add(p)
                taken_t.add(t)
    for p in set(predicted.ravel().tolist()) - {0} - taken_p:
        if (true[predicted == p] == 0).mean() <= 0.5:
            counts[2, predicted_classes[p]] += 1
    for t in set(true.ravel().tolist()) - {0} - taken_t:
        counts[3, true_classes[t]] += 1
    return counts


@settings(max_examples=40)
@given(MAPS, MAPS, st.booleans())
def test_counts_are_those_of_the_definition(predicted, true, swap):
    found_classes = {1: 1, 2: 0, 3: 1} if swap else CLASSES
    found = panoptic_counts(
        predicted, true, predicted_classes=found_classes, true_classes=CLASSES, classes=2
    )
    expected = by_hand(predicted, true, found_classes, CLASSES, 2)
    rows = (found.iou, found.matched, found.only_predicted, found.only_true)
    np.testing.assert_allclose(np.array(rows), expected)


@settings(max_examples=20)
@given(MAPS)
def test_perfect_is_one_and_names_do_not_matter(true):
    true[0, 0] = 1
    assert panoptic_quality(true, true) == 1
    assert panoptic_quality((true * 7) % 23, true) == 1


def test_quality_is_segmentation_times_recognition_in_one_class():
    generator = np.random.default_rng(0)
    true = np.kron(generator.integers(0, 5, (4, 4)), np.ones((5, 5), int))
    predicted = np.where(generator.random(true.shape) < 0.1, 0, np.roll(true, 1, axis=0))
    found = panoptic_summary([panoptic_counts(predicted, true)])
    assert 0 < found.quality < 1
    assert found.quality == pytest.approx(found.segmentation * found.recognition)


def test_classes_weigh_alike_and_images_are_pooled():
    one = np.array([[1, 1, 2, 2]])
    miss = panoptic_counts(np.array([[1, 1, 0, 0]]), one, predicted_classes={1: 0},
                           true_classes={1: 0, 2: 1}, classes=3)  # fmt: skip
    assert panoptic_summary([miss]).quality == 0.5
    hit = panoptic_counts(one, one, predicted_classes={1: 0, 2: 1},
                          true_classes={1: 0, 2: 1}, classes=3)  # fmt: skip
    assert panoptic_summary([miss, hit]).quality == pytest.approx((1 + 1 / 1.5) / 2)


def test_a_truth_without_segments_has_only_false_ones():
    nothing = np.zeros((2, 2), int)
    assert panoptic_counts(nothing, nothing).only_true.tolist() == [0]
    with pytest.raises(ValueError, match="no segment"):
        panoptic_quality(nothing, nothing)
    with pytest.raises(ValueError, match="segment 1 has no class"):
        panoptic_counts(nothing + 1, nothing, predicted_classes={}, classes=2)
    with pytest.raises(ValueError, match="no segment"):
        panoptic_summary([])
