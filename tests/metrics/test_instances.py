import numpy as np
import pytest

from maskspace.metrics.instances import instance_counts, instance_score
from maskspace.metrics.recall import THRESHOLDS


def scattered(seed, number=6, side=20):
    """A label map of rectangles on background, the later ones on top."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int64)
    for label in range(1, number + 1):
        top, left = generator.integers(0, side - 3, 2)
        height, width = generator.integers(1, 9, 2)
        labels[top : top + height, left : left + width] = label
    return labels


def moved(labels, seed):
    """Nearly the same instances: some pixels changed, one instance gone."""
    changed = np.where(np.random.default_rng(seed).random(labels.shape) < 0.1, 0, labels)
    return np.where(changed == 1, 0, changed)


def brute_force(predicted, true, min_area):
    """Every pair of masks, dense."""
    predictions = [predicted == label for label in np.unique(predicted[predicted > 0])]
    truths = [true == label for label in np.unique(true[true > 0])]
    for threshold in THRESHOLDS:
        right = only_predicted = 0
        for one in predictions:
            matched = [
                other for other in truths if (one & other).sum() / (one | other).sum() > threshold
            ]
            right += any(other.sum() >= min_area for other in matched)
            only_predicted += not matched and one.sum() >= min_area
        large = sum(other.sum() >= min_area for other in truths)
        yield right, only_predicted, large - right


@pytest.mark.parametrize("min_area", [1, 12])
@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_every_pair(seed, min_area):
    true = scattered(seed)
    for predicted in (moved(true, seed), scattered(seed + 100)):
        found = instance_counts(predicted, true, min_area=min_area)
        table = np.stack([found.right, found.only_predicted, found.only_true], axis=1)
        assert table.tolist() == [list(row) for row in brute_force(predicted, true, min_area)]


def test_the_truth_scores_1_and_nothing_0():
    true = scattered(0)
    assert instance_score(true, true) == 1
    assert instance_score(np.zeros_like(true), true) == 0
    assert instance_score(np.zeros_like(true), np.zeros_like(true)) == 1


def test_the_score_is_symmetric_and_names_of_labels_do_not_matter():
    true = scattered(1)
    predicted = moved(true, 1)
    renamed = np.array([0, 40, 3, 900, 7, 5, 6])[predicted]
    assert instance_score(predicted, true) == instance_score(true, predicted)
    assert instance_score(renamed, true) == instance_score(predicted, true)


def test_a_stricter_threshold_finds_no_more():
    found = instance_counts(moved(scattered(2), 2), scattered(2))
    assert (np.diff(found.right) <= 0).all() and found.right[0] > 0


def test_what_is_too_small_is_neither_right_nor_wrong():
    true = np.zeros((8, 8), np.int64)
    true[:4, :4] = 1
    speck = true.copy()
    speck[7, 7] = 2
    for predicted, truth in ((speck, true), (true, speck), (speck, speck)):
        assert instance_counts(predicted, truth, min_area=2).score == 1
    assert instance_counts(speck, true).score < 1
    grown = speck.copy()
    grown[7, 6:] = 2  # large enough, and finds a truth that is not asked for: at an IoU of 1/2
    assert instance_counts(grown, speck, min_area=2).only_predicted.tolist() == [1] * 10


def test_thresholds_where_two_could_match_are_refused():
    with pytest.raises(ValueError, match="above an IoU of"):
        instance_counts(scattered(0), scattered(0), thresholds=np.array([0.3]))
