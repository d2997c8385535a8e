import numpy as np
import pytest

from maskspace.evaluation.instances import find_instances, score_instances
from maskspace.evaluation.truth import Truth
from maskspace.types import Prediction


def truth_of(masks, key="a"):
    size_hw = masks.shape[1:]
    return Truth(
        key=key,
        image=np.zeros((*size_hw, 3), np.uint8),
        masks=masks,
        ids=tuple(range(1, len(masks) + 1)),
        ignore=np.zeros(size_hw, bool),
        too_small=0,
        label_maps=(),
    )


@pytest.fixture
def truths():
    masks = np.zeros((4, 8, 8), bool)
    masks[0, :4, :4] = masks[1, :4, 4:] = masks[2, 4:, :4] = masks[3, 4:, 4:] = True
    return [truth_of(masks), truth_of(masks[:2], "b")]


def score(truths, propose):
    return score_instances([find_instances(propose, t, limit=100) for t in truths], seed=0)


def test_the_truth_itself_is_perfect(truths):
    found = [
        find_instances(
            lambda image, t=t: Prediction(t.masks, np.ones(len(t.masks), np.float32)), t, limit=9
        )
        for t in truths
    ]
    perfect = score_instances(found, seed=0)
    assert (perfect.mean_best_iou, perfect.average_precision, perfect.found) == (1, 1, 1)
    assert perfect.proposals == 3


def test_nothing_is_the_worst(truths):
    none = Prediction(np.zeros((0, 8, 8), bool), np.zeros(0, np.float32))
    worst = score(truths, lambda image: none)
    assert (worst.mean_best_iou, worst.average_precision, worst.found) == (0, 0, 0)


def test_false_and_missed_count_alike_against_what_is_found(truths):
    """Two of four and two of two are found, twice by the same mask, and nothing else is right."""
    masks = truths[0].masks
    proposed = np.stack([masks[0], masks[0], masks[1], masks.any(axis=0)])
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)
    found = score(truths, lambda image: Prediction(proposed, scores))
    assert found.found == pytest.approx(4 / (4 + 4 + 2))  # TP, FP, FN over both images


def test_means_are_over_masks_not_images(truths):
    masks = truths[0].masks
    one = Prediction(masks[:1], np.ones(1, np.float32))
    assert score(truths, lambda image: one).mean_best_iou == pytest.approx(2 / 6)


def test_no_truth_is_told(truths):
    empty = truth_of(np.zeros((0, 8, 8), bool))
    found = find_instances(
        lambda image: Prediction(truths[0].masks, np.ones(4, np.float32)), empty, limit=9
    )
    with pytest.raises(ValueError, match="no true mask"):
        score_instances([found], seed=0)
