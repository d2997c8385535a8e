from collections.abc import Callable

import numpy as np
import pytest
import torch

from maskspace.masks import boxes_xywh, pairwise_iou
from maskspace.masks.shared_area import atoms
from maskspace.partition import nms
from maskspace.partition.nms import box_nms, iou_nms, mask_nms, union_nms

OVERLAPS = [0.0, 0.25, 0.5, 0.7, 0.9, 1.0]


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


def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.random((8, 5, 6)) < rng.random()


def ties(rng: np.random.Generator) -> np.ndarray:
    """Steps along a line: the IoU of neighbours is on a threshold, such as 7 of 10, again."""
    masks = np.zeros((11, 1, 40), bool)
    length = int(rng.integers(2, 20))
    for index, mask in enumerate(masks):
        mask[0, index * int(rng.integers(1, 3)) :][:length] = True
    return masks


def duplicates(rng: np.random.Generator) -> np.ndarray:
    return random_masks(rng, 4)[rng.integers(0, 4, 12)]


def empty(rng: np.random.Generator) -> np.ndarray:
    masks = random_masks(rng, 9)
    masks[rng.integers(0, 9, 5)] = False
    return masks


def nested(rng: np.random.Generator) -> np.ndarray:
    """Each holds the one before; with the threshold equal to ratios of their areas."""
    masks = np.zeros((10, 4, 5), bool)
    for count, mask in zip(np.sort(rng.integers(0, 21, 10)), masks, strict=True):
        mask.ravel()[:count] = True
    return masks[rng.permutation(10)]


ADVERSARIAL = [ties, duplicates, empty, nested]


def scores_of(rng: np.random.Generator, count: int) -> np.ndarray:
    """Few different scores, so that most are tied, now and then only one; at times an infinity."""
    scores = rng.integers(0, int(rng.integers(1, 6)), count) / 5
    return np.where(rng.random(count) < 0.02, np.inf, scores)


def compare_at_a_time(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nms, "_BLOCK", block)
    monkeypatch.setattr(nms, "_BLOCK_OF_TENSORS", block)


def kept_as_by_brute_force(masks: np.ndarray, scores: np.ndarray, overlap: float) -> bool:
    """Whether masks in arrays, and their atoms in tensors, are kept as every pair decides."""
    expected = brute_force(masks, scores, overlap)
    left = masks[expected]
    between = pairwise_iou(left, left)[~np.eye(len(left), dtype=bool)]
    assert between.max(initial=0) <= overlap
    table = (torch.from_numpy(each) for each in atoms(masks))
    assert union_nms(*table, torch.from_numpy(scores), overlap=overlap).tolist() == expected
    return mask_nms(masks, scores, overlap=overlap).tolist() == expected


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_of_1000_random_sets_the_kept_are_those_of_brute_force(overlap, monkeypatch):
    """Also where candidates are compared a few at a time."""
    for seed in range(168):
        rng = np.random.default_rng([seed, int(100 * overlap)])
        masks = random_masks(rng, 10) if seed % 2 else noise(rng)
        compare_at_a_time(int(rng.integers(3, 12)), monkeypatch)
        assert kept_as_by_brute_force(masks, scores_of(rng, len(masks)), overlap)


@pytest.mark.parametrize("draw", ADVERSARIAL)
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_of_1000_adversarial_sets_the_kept_are_those_of_brute_force(draw, overlap, monkeypatch):
    for seed in range(42):
        rng = np.random.default_rng([seed, int(100 * overlap)])
        masks = draw(rng)
        compare_at_a_time(int(rng.integers(3, 12)), monkeypatch)
        assert kept_as_by_brute_force(masks, scores_of(rng, len(masks)), overlap)


@pytest.mark.parametrize("seed", range(20))
def test_tensors_pixels_and_a_known_table_give_the_same(seed):
    rng = np.random.default_rng(seed)
    masks, scores = random_masks(rng, 30), scores_of(rng, 30)
    expected = mask_nms(masks, scores, overlap=0.4).tolist()
    assert (
        mask_nms(torch.from_numpy(masks), torch.from_numpy(scores), overlap=0.4).tolist()
        == expected
    )
    pixels = np.ones(masks[0].size, np.int64)
    flat = masks.reshape(len(masks), -1)
    assert union_nms(flat, pixels, scores, overlap=0.4).tolist() == expected
    assert iou_nms(pairwise_iou(masks, masks), scores, overlap=0.4).tolist() == expected


def test_an_iou_that_is_the_threshold_stays_and_the_next_one_goes():
    masks = np.zeros((3, 1, 21), bool)
    masks[0, 0, :10], masks[1, 0, :7], masks[2, 0, :8] = True, True, True
    assert mask_nms(masks[:2], np.array([0.9, 0.5]), overlap=0.7).tolist() == [0, 1]
    assert mask_nms(masks[::2], np.array([0.9, 0.5]), overlap=0.7).tolist() == [0]


@pytest.mark.parametrize("seed", range(20))
def test_permuting_the_masks_permutes_what_is_kept(seed):
    """Scores apart, any order gives the same masks; equal scores go by place."""
    rng = np.random.default_rng(seed)
    masks, scores = random_masks(rng, 25), rng.permutation(25) / 25
    order = rng.permutation(25)
    kept = order[mask_nms(masks[order], scores[order], overlap=0.4)]
    assert kept.tolist() == mask_nms(masks, scores, overlap=0.4).tolist()
    assert mask_nms(np.ones((5, 3, 3), bool), np.full(5, 0.5)).tolist() == [0]


@pytest.mark.parametrize("seed", range(20))
def test_permuting_or_splitting_superpixels_and_flipping_the_image_change_nothing(seed):
    rng = np.random.default_rng(seed)
    covered, areas = rng.random((30, 9)) < 0.4, rng.integers(0, 50, 9)
    scores = scores_of(rng, 30)
    kept = union_nms(covered, areas, scores, overlap=0.5).tolist()
    order = rng.permutation(9)
    assert union_nms(covered[:, order], areas[order], scores, overlap=0.5).tolist() == kept
    halves = np.concatenate([areas // 2, areas - areas // 2])
    assert union_nms(np.tile(covered, 2), halves, scores, overlap=0.5).tolist() == kept
    masks = random_masks(rng, 30)
    flipped = mask_nms(masks[:, ::-1, ::-1], scores, overlap=0.5)
    assert flipped.tolist() == mask_nms(masks, scores, overlap=0.5).tolist()


@pytest.mark.parametrize("seed", range(10))
def test_what_is_kept_is_kept_again(seed):
    rng = np.random.default_rng(seed)
    masks, scores = random_masks(rng, 40), scores_of(rng, 40)
    kept = mask_nms(masks, scores, overlap=0.3)
    again = mask_nms(masks[kept], scores[kept], overlap=0.3)
    assert again.tolist() == list(range(len(kept)))


@pytest.mark.parametrize("largest", [2**23, 2**24, 2**40])
def test_areas_of_large_images_are_compared_to_the_pixel(largest):
    """One pixel more than the threshold decides, which float32 cannot tell above 2**24."""
    covered = np.array([[True, True, False], [True, False, False]])
    scores = np.array([0.9, 0.5])
    for beyond, expected in [(0, [0, 1]), (-1, [0])]:
        areas = np.array([largest // 2, largest // 2 + beyond, 1])
        assert union_nms(covered, areas, scores, overlap=0.5).tolist() == expected
        tensors = torch.from_numpy(covered), torch.from_numpy(areas), torch.from_numpy(scores)
        assert union_nms(*tensors, overlap=0.5).tolist() == expected


def test_a_duplicate_goes_and_a_disjoint_mask_stays():
    masks = np.zeros((3, 4, 4), bool)
    masks[:2, :2], masks[2, 3] = True, True
    assert mask_nms(masks, np.array([0.5, 0.9, 0.1])).tolist() == [1, 2]


@pytest.mark.parametrize("scores", [np.zeros(0), torch.zeros(0)])
def test_nothing_gives_nothing(scores):
    assert mask_nms(np.zeros((0, 4, 4), bool), scores).tolist() == []
    assert mask_nms(torch.zeros((0, 4, 4), dtype=torch.bool), scores).tolist() == []
    assert union_nms(np.zeros((0, 7), bool), np.ones(7, int), scores).tolist() == []
    assert box_nms(np.zeros((0, 4), int), np.zeros(0)).tolist() == []


def test_an_image_without_pixels_has_only_empty_masks():
    assert mask_nms(np.zeros((3, 0, 4), bool), np.zeros(3), overlap=0.0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_boxes_are_kept_as_the_masks_that_fill_them(seed):
    rng = np.random.default_rng(seed)
    masks, scores = random_masks(rng, 40), scores_of(rng, 40)
    for overlap in OVERLAPS:
        expected = brute_force(masks, scores, overlap)
        assert box_nms(boxes_xywh(masks), scores, overlap=overlap).tolist() == expected


def test_one_stray_pixel_saves_a_duplicate_from_box_nms_and_not_from_mask_nms():
    masks = np.zeros((2, 40, 40), bool)
    masks[:, :20, :20], masks[1, 39, 39] = True, True
    scores = np.array([0.9, 0.8])
    assert box_nms(boxes_xywh(masks), scores).tolist() == [0, 1]
    assert mask_nms(masks, scores).tolist() == [0]


@pytest.mark.parametrize("keep", [mask_nms, lambda m, s, **o: box_nms(boxes_xywh(m), s, **o)])
def test_arguments_without_an_answer_are_refused(keep: Callable[..., np.ndarray]):
    one = np.zeros((1, 4, 4), bool)
    with pytest.raises(ValueError, match=r"\[0, 1\]; got 1\.5"):
        keep(one, np.zeros(1), overlap=1.5)
    with pytest.raises(ValueError, match="score 0 is not a number"):
        keep(one, np.full(1, np.nan))


def test_a_table_here_and_areas_there_are_refused():
    with pytest.raises(TypeError, match="both tensors"):
        union_nms(np.zeros((1, 2), bool), torch.ones(2, dtype=torch.int64), np.zeros(1))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_the_gpu_keeps_what_the_cpu_keeps(precision):
    """Also where the rest of the program has asked for TF32 or bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        masks, scores = random_masks(rng, 60), scores_of(rng, 60)
        covered, areas = rng.random((60, 200)) < 0.5, rng.integers(1, 2**16, 200)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "medium"):
            for overlap in OVERLAPS:
                expected = mask_nms(masks, scores, overlap=overlap)
                there = torch.from_numpy(masks).cuda(), torch.from_numpy(scores).cuda()
                assert mask_nms(*there, overlap=overlap).tolist() == expected.tolist()
                expected = union_nms(covered, areas, scores, overlap=overlap / 2)
                table = torch.from_numpy(covered).cuda(), torch.from_numpy(areas).cuda()
                kept = union_nms(*table, scores, overlap=overlap / 2)
                assert kept.tolist() == expected.tolist()
    torch.set_float32_matmul_precision(before)
