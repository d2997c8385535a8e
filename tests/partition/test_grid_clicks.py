import numpy as np
import pytest
import torch

from maskspace.masks import pairwise_iou
from maskspace.partition.grid_clicks import (
    click_grid,
    decode_clicks,
    group_maps,
    propose_from_clicks,
    stability,
    surest_click,
)


class ExactClicks:
    """A ClickModel that knows the image: equal colours are one object, black is nothing.

    Logits are ±`sureness` and fall off near nothing, so that the answer is exact; `chunks` records
    how many clicks it was asked for at a time.
    """

    def __init__(self, stride: int = 1, sureness: float = 5.0) -> None:
        self.stride, self.sureness = stride, sureness
        self.chunks: list[int] = []

    def encode(self, image):
        return torch.from_numpy(
            image[self.stride // 2 :: self.stride, self.stride // 2 :: self.stride].copy()
        )

    def click_logits(self, features, size_hw, clicks_xy, positive):
        self.chunks.append(len(clicks_xy))
        colors = features.numpy().astype(np.int64) @ [1, 256, 65536]
        rows, columns = clicks_xy[:, 1] // self.stride, clicks_xy[:, 0] // self.stride
        clicked = colors[rows, columns][:, None, None]
        inside = (colors[None] == clicked) & (clicked != 0)
        return np.where(inside, self.sureness, -self.sureness).astype(np.float32)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    image, masks = np.zeros((48, 64, 3), np.uint8), np.zeros((3, 48, 64), bool)
    masks[0, 4:24, 4:28], masks[1, 8:40, 32:60], masks[2, 28:44, 8:24] = True, True, True
    for mask, color in zip(masks, ([200, 0, 0], [0, 200, 0], [9, 9, 200]), strict=True):
        image[mask] = color
    return image, masks


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("per_side", [6, 16])
def test_an_exact_model_gives_the_masks_of_the_scene_once_each(scene, stride, per_side):
    image, masks = scene
    proposals = propose_from_clicks(ExactClicks(stride), image, per_side=per_side)
    assert len(proposals) == 3
    assert pairwise_iou(proposals.masks, masks).max(axis=0).min() == pytest.approx(1, abs=0.08)
    if stride == 1:
        assert pairwise_iou(proposals.masks, masks).max(axis=0).min() == 1
    assert (proposals.scores == 1).all()


def test_limit_keeps_the_best_and_an_empty_scene_has_none(scene):
    image, _ = scene
    every = propose_from_clicks(ExactClicks(), image)
    np.testing.assert_array_equal(
        propose_from_clicks(ExactClicks(), image, limit=2).masks, every.masks[:2]
    )
    nothing = propose_from_clicks(ExactClicks(), np.zeros_like(image))
    assert nothing.masks.shape == (0, 48, 64)


def test_chunks_have_one_size_and_change_nothing(scene):
    image, _ = scene
    model = ExactClicks()
    clicks = click_grid((48, 64), per_side=5)
    features, positive = model.encode(image), np.ones(len(clicks), bool)
    every = model.click_logits(features, (48, 64), clicks, positive)
    model.chunks.clear()
    decoded = decode_clicks(model, features, (48, 64), clicks, positive, chunk=7)
    np.testing.assert_array_equal(decoded, every)
    assert model.chunks == [7, 7, 7, 7]


@pytest.mark.parametrize("size_hw", [(16, 16), (20, 300), (9, 64)])
def test_clicks_lie_in_the_image_centred_and_apart(size_hw):
    clicks = click_grid(size_hw, per_side=16)
    assert len(np.unique(clicks, axis=0)) == len(clicks) == min(16, size_hw[0]) * 16
    assert (clicks >= 0).all() and (clicks < size_hw[::-1]).all()
    mirrored = np.array(size_hw[::-1]) - 1 - clicks
    assert np.abs(np.sort(mirrored, axis=0) - np.sort(clicks, axis=0)).max() <= 1


def test_a_pixel_goes_to_the_surest_click_above_a_half():
    logits = np.array([[[1.0, -1.0, 2.0]], [[2.0, -3.0, 2.0]]], np.float32)
    assert surest_click(logits).tolist() == [[1, -1, 0]]


def test_masks_are_unions_of_superpixels_covered_by_more_than_half():
    """The weak click reaches over 3 of 4 pixels of the strong one's region: it takes the fourth."""
    strong = np.array([[9, 9, 9, 9, -9, -9, -9, -9]], np.float32)
    weak = np.array([[-1, 1, 1, 1, 1, 1, -1, -1]], np.float32)
    found = group_maps(np.stack([strong, weak]), overlap=0.9, stability_offset=0.5)
    assert found.masks.shape == (2, 1, 8)
    by_click = dict(zip(found.clicks.tolist(), found.masks[:, 0].tolist(), strict=True))
    assert by_click[0] == [True] * 4 + [False] * 4
    assert by_click[1] == [True] * 6 + [False] * 2
    half = np.array([[-1, -1, 1, 1, 1, 1, -1, -1]], np.float32)
    found = group_maps(np.stack([strong, half]), overlap=0.9, stability_offset=0.5)
    by_click = dict(zip(found.clicks.tolist(), found.masks[:, 0].tolist(), strict=True))
    assert by_click[1] == [False] * 4 + [True] * 2 + [False] * 2


def test_stability_is_the_iou_of_two_thresholds():
    logits = np.array([[[3.0, 0.5, -0.5, -3.0]], [[3.0, 3.0, -3.0, -3.0]], [[-3.0] * 4]])
    expected = [1 / 3, 1, 0]
    np.testing.assert_allclose(stability(logits.astype(np.float32), offset=1.0), expected)


def test_the_more_stable_of_two_near_duplicates_stays():
    sure, unsure = np.full((2, 6, 6), -9, np.float32)
    sure[1:5, 1:5], unsure[1:5, 1:5] = 9, 0.5
    found = group_maps(np.stack([unsure, sure]), overlap=0.7, stability_offset=1.0)
    assert found.clicks.tolist() == [1]


def test_box_nms_keeps_a_duplicate_with_a_stray_pixel_and_drops_another_mask_in_the_same_box():
    duplicates, frames = np.full((2, 2, 12, 12), -9, np.float32)
    duplicates[:, :5, :5], duplicates[1, 11, 11] = 9, 3
    frames[:, 2:10, 2:10] = 9
    frames[0, 3:9, 3:9], frames[1, 2:10, 3:9] = -9, 3
    frames[1, 3:9, 2], frames[1, 3:9, 9] = -9, -9
    options = {"overlap": 0.7, "stability_offset": 1.0}
    assert len(group_maps(duplicates, nms="mask", **options).clicks) == 1
    assert len(group_maps(duplicates, nms="box", **options).clicks) == 2
    assert len(group_maps(frames, nms="mask", **options).clicks) == 2
    assert len(group_maps(frames, nms="box", **options).clicks) == 1


def test_no_two_proposals_overlap_by_more_than_asked():
    logits = np.random.default_rng(0).normal(size=(60, 1, 1)) + np.random.default_rng(1).normal(
        size=(60, 9, 10)
    )
    counts = []
    for overlap in (0.1, 0.3, 0.5, 0.9):
        found = group_maps(logits.astype(np.float32), overlap=overlap, stability_offset=0.5)
        between = pairwise_iou(found.masks, found.masks)[~np.eye(len(found.masks), dtype=bool)]
        assert between.max(initial=0) <= overlap
        counts.append(len(found.masks))
    assert 1 <= counts[0] < counts[-1]
