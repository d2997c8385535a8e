import numpy as np
import pytest

from maskspace.partition.nms import mask_nms


def brute_force(masks: np.ndarray, scores: np.ndarray, overlap: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(masks)), key=lambda i: (-scores[i], i)):
        ious = [(masks[i] & masks[j]).sum() / max(1, (masks[i] | masks[j]).sum()) for j in kept]
        if all(iou <= overlap for iou in ious):
            kept.append(i)
    return kept


def random_masks(rng: np.random.Generator, count: int) -> np.ndarray:
    masks = np.zeros((count, 12, 14), bool)
    for mask in masks:
        y, x = rng.integers(0, 8, 2)
        mask[y : y + rng.integers(0, 8), x : x + rng.integers(0, 8)] = True
    return masks


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_kept_are_those_of_brute_force_also_with_equal_scores(seed, overlap):
    rng = np.random.default_rng(seed)
    masks, scores = random_masks(rng, 25), rng.integers(0, 6, 25) / 5
    assert mask_nms(masks, scores, overlap=overlap).tolist() == brute_force(masks, scores, overlap)


def test_a_duplicate_goes_and_a_disjoint_mask_stays():
    masks = np.zeros((3, 4, 4), bool)
    masks[:2, :2], masks[2, 3] = True, True
    assert mask_nms(masks, np.array([0.5, 0.9, 0.1])).tolist() == [1, 2]


def test_nothing_gives_nothing():
    assert mask_nms(np.zeros((0, 4, 4), bool), np.zeros(0)).tolist() == []


def test_an_overlap_that_is_no_iou_is_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        mask_nms(np.zeros((1, 4, 4), bool), np.zeros(1), overlap=1.5)
