import cv2
import numpy as np
import pytest
import torch

from maskspace.partition import small_regions as module
from maskspace.partition.small_regions import clean_small_regions, clean_small_regions_of_tensors


def removed(mask: np.ndarray, area: int, *, holes: bool) -> tuple[np.ndarray, bool]:
    """Segment Anything's step, by OpenCV."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats((holes ^ mask).astype(np.uint8), 8)
    sizes = stats[1:, -1]
    small = [label + 1 for label, size in enumerate(sizes) if size < area]
    if not small:
        return mask, False
    if holes:
        return np.isin(regions, [0, *small]), True
    kept = [label for label in range(1, count) if label not in small]
    return np.isin(regions, kept or [int(np.argmax(sizes)) + 1]), True


def reference(mask: np.ndarray, area: int) -> tuple[np.ndarray, bool]:
    if not mask.any():
        return mask, False
    filled, had_holes = removed(mask, area, holes=True)
    cleaned, had_islands = removed(filled, area, holes=False)
    return cleaned, had_holes or had_islands


def largest_is_one(mask: np.ndarray) -> bool:
    """Whether no tie decides: OpenCV does not number regions by their first pixel."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), 8)
    return np.sum(stats[1:, -1] == stats[1:, -1].max(initial=0)) <= 1


def blobs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes, with boxes cut out of them: holes, islands, and background cut off at the border."""
    masks = np.zeros((count, *rng.integers(1, 24, 2)), bool)
    for mask in masks:
        for value in rng.integers(0, 2, 6).astype(bool):
            y, x = (int(rng.integers(0, side)) for side in mask.shape)
            mask[y : y + rng.integers(1, 12), x : x + rng.integers(1, 12)] = value
    return masks | (rng.random(masks.shape) < 0.03)


@pytest.fixture(params=["arrays", "tensors", "tensors, one at a time"])
def clean(request, monkeypatch):
    """The function under test on arrays in and out, whatever it is that computes."""
    if request.param == "arrays":
        return clean_small_regions
    monkeypatch.setattr(module, "_BLOCK_PIXELS", 2**24 if request.param == "tensors" else 1)

    def on_tensors(masks: np.ndarray, *, min_area: int) -> tuple[np.ndarray, np.ndarray]:
        cleaned, touched = clean_small_regions_of_tensors(
            torch.from_numpy(masks), min_area=min_area
        )
        return cleaned.numpy(), touched.numpy()

    return on_tensors


@pytest.mark.parametrize("seed", range(25))
def test_cleans_as_segment_anything_does(clean, seed):
    rng = np.random.default_rng(seed)
    masks, area = blobs(rng, 8), int(rng.integers(0, 40))
    cleaned, touched = clean(masks, min_area=area)
    for mask, ours, any_small in zip(masks, cleaned, touched, strict=True):
        expected, changed = reference(mask, area)
        assert any_small == changed
        if largest_is_one(removed(mask, area, holes=True)[0]):
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("seed", range(10))
def test_arrays_and_tensors_agree_also_on_noise_and_ties(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((6, *rng.integers(1, 30, 2))) < rng.random()
    for area in (1, 3, 10, 10**6):
        cleaned, touched = clean_small_regions(masks, min_area=area)
        others = clean_small_regions_of_tensors(torch.from_numpy(masks), min_area=area)
        np.testing.assert_array_equal(others[0].numpy(), cleaned)
        np.testing.assert_array_equal(others[1].numpy(), touched)


def test_a_region_of_exactly_the_area_stays(clean):
    masks = np.zeros((1, 12, 12), bool)
    masks[0, 1:8, 1:8], masks[0, 3:5, 3:5], masks[0, 10, 8:12] = True, False, True
    for area, hole, island in [(4, False, True), (5, True, False)]:
        cleaned, touched = clean(masks, min_area=area)
        assert cleaned[0, 3, 3] == hole and cleaned[0, 10, 9] == island
        assert touched.tolist() == [area == 5]


def test_of_small_islands_alone_the_largest_stays_and_of_equal_ones_the_first(clean):
    masks = np.zeros((2, 9, 9), bool)
    masks[0, 0, 0], masks[0, 4, 4:7], masks[0, 8, 0:2] = True, True, True
    masks[1, 2, 6:8], masks[1, 7, 0:2] = True, True
    cleaned, touched = clean(masks, min_area=6)
    assert np.argwhere(cleaned[0]).tolist() == [[4, 4], [4, 5], [4, 6]]
    assert np.argwhere(cleaned[1]).tolist() == [[2, 6], [2, 7]]
    assert touched.all()


def test_a_spiral_is_one_region(clean):
    """What takes the longest to spread along."""
    mask = np.zeros((25, 25), bool)
    y, x, step, turn = 0, 0, 24, (0, 1)
    mask[0, 0] = True
    for leg in range(22):
        for _ in range(step):
            y, x = y + turn[0], x + turn[1]
            mask[y, x] = True
        turn = (turn[1], -turn[0])
        step -= 2 if leg % 2 == 0 and leg else 0
        if step <= 0:
            break
    cleaned, touched = clean(mask[None], min_area=int(mask.sum()))
    assert cleaned[0][mask].all()
    np.testing.assert_array_equal(cleaned[0], reference(mask, int(mask.sum()))[0])
    assert touched[0] == reference(mask, int(mask.sum()))[1]


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0)])
def test_nothing_stays_nothing(clean, shape):
    cleaned, touched = clean(np.zeros(shape, bool), min_area=3)
    assert cleaned.shape == shape and not touched.any() and len(touched) == shape[0]


def test_empty_stays_empty_and_full_stays_full(clean):
    masks = np.stack([np.zeros((4, 5), bool), np.ones((4, 5), bool)])
    for area in (0, 1, 20, 21):
        cleaned, _ = clean(masks, min_area=area)
        np.testing.assert_array_equal(cleaned, masks)


@pytest.mark.parametrize("seed", range(10))
def test_cleaning_leaves_no_small_region_and_does_not_change_what_it_was_given(clean, seed):
    rng = np.random.default_rng(seed)
    masks = blobs(rng, 8)
    before = masks.copy()
    cleaned, touched = clean(masks, min_area=9)
    np.testing.assert_array_equal(masks, before)
    changed = (cleaned != masks).any(axis=(1, 2))
    assert not (changed & ~touched).any()
    for mask in cleaned:
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), 8)
        assert len(stats) <= 2 or stats[1:, -1].min() >= 9


@pytest.mark.parametrize("seed", range(10))
def test_mirroring_and_turning_the_image_turns_the_answer(clean, seed):
    rng = np.random.default_rng(seed)
    mask = blobs(rng, 1)
    mask = mask if largest_is_one(removed(mask[0], 7, holes=True)[0]) else np.zeros_like(mask)
    expected, _ = clean(mask, min_area=7)
    mirrored, _ = clean(np.ascontiguousarray(mask[:, ::-1, ::-1]), min_area=7)
    np.testing.assert_array_equal(mirrored[:, ::-1, ::-1], expected)
    turned, _ = clean(np.ascontiguousarray(mask.transpose(0, 2, 1)), min_area=7)
    np.testing.assert_array_equal(turned.transpose(0, 2, 1), expected)


@pytest.mark.gpu
def test_the_gpu_cleans_as_the_cpu_does():
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = blobs(rng, 8)
        expected = clean_small_regions(masks, min_area=9)
        there = clean_small_regions_of_tensors(torch.from_numpy(masks).cuda(), min_area=9)
        for ours, theirs in zip(there, expected, strict=True):
            np.testing.assert_array_equal(ours.cpu().numpy(), theirs)
