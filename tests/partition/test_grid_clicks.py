import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from maskspace.masks import pairwise_iou
from maskspace.partition.click_masks import (
    group_maps,
    level_threshold,
    predicted_iou,
    stability,
    surest_claims,
)
from maskspace.partition.grid_clicks import (
    ClickGrid,
    click_grid,
    decode_clicks,
    propose_from_clicks,
)
from maskspace.partition.resample import resize_maps, resize_window
from maskspace.partition.superpixels import equal_components
from maskspace.partition.views import View


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
    proposals = propose_from_clicks(ExactClicks(stride), image, grid=ClickGrid(per_side=per_side))
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
    assert surest_claims(logits, (0.0,)).tolist() == [[1, -1, 0]]


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


def test_a_superpixel_is_covered_where_the_mean_probability_is_above_a_half():
    logits = smooth_maps(12)
    found = group_maps(logits, overlap=1.0, stability_offset=0.5)
    assert len(found.masks) > 3
    labels = equal_components(surest_claims(logits, (0.0,)))
    pieces = [labels == label for label in np.unique(labels)]
    assert len(pieces) > 20
    for mask, click in zip(found.masks, found.clicks, strict=True):
        probability = 1 / (1 + np.exp(-logits[click].astype(np.float64)))
        expected = np.any([piece for piece in pieces if probability[piece].mean() > 0.5], axis=0)
        np.testing.assert_array_equal(mask, expected)


def test_masks_that_are_not_rounded_are_those_of_the_maps():
    logits = smooth_maps(6)
    found = group_maps(
        logits, overlap=1.0, stability_offset=0.5, rounded=False, thresholds=(-0.2, 0.0, 0.2)
    )
    assert len(found.masks) == 18
    for mask, click, cut in zip(found.masks, found.clicks, found.thresholds, strict=True):
        np.testing.assert_array_equal(mask, logits[click] > cut)


def test_what_is_not_rounded_survives_a_change_of_a_thousandth_of_the_logits():
    logits = smooth_maps(40)
    noise = np.random.default_rng(1).standard_normal(logits.shape).astype(np.float32)
    options = {"overlap": 0.7, "stability_offset": 0.2, "rounded": False}
    one, other = (group_maps(maps, **options) for maps in (logits, logits * (1 + noise / 1000)))
    assert len(one.masks) == len(other.masks) > 30
    assert pairwise_iou(one.masks, other.masks).max(axis=1).min() >= 0.95


def smooth_maps(count):
    """Return logit maps of blobs, with a standard deviation of 1."""
    noise = np.random.default_rng(0).standard_normal((count, 48, 64))
    maps = gaussian_filter(noise, (0, 5, 5))
    return (maps / maps.std()).astype(np.float32)


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


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("negative", [False, True])
def test_crops_and_negative_clicks_of_an_exact_model_find_the_same_masks(scene, layers, negative):
    image, masks = scene
    image, masks = image.repeat(4, 0).repeat(4, 1), masks.repeat(4, 1).repeat(4, 2)
    grid = ClickGrid(per_side=9, crop_layers=layers, negative=negative)
    found = propose_from_clicks(ExactClicks(), image, grid=grid)
    assert len(found) == 3
    assert pairwise_iou(found.masks, masks).max(axis=0).min() == 1


def test_crops_find_what_the_whole_image_is_clicked_too_sparsely_for():
    image = np.zeros((256, 256, 3), np.uint8)
    image[28:38, 28:38] = 200
    sparse = ClickGrid(per_side=8)
    assert len(propose_from_clicks(ExactClicks(), image, grid=sparse)) == 0
    deeper = ClickGrid(per_side=8, crop_layers=1)
    found = propose_from_clicks(ExactClicks(), image, grid=deeper)
    assert len(found) == 1
    np.testing.assert_array_equal(found.masks[0], image[..., 0] > 0)


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_what_a_view_cuts_off_is_left_out(edge):
    maps = np.full((2, 8, 8), -9, np.float32)
    maps[0, 2:6, 2:6] = 9
    maps[
        1,
        {"top": slice(0, 1), "bottom": slice(7, 8)}.get(edge, slice(0, 8)),
        {"left": slice(0, 1), "right": slice(7, 8)}.get(edge, slice(0, 8)),
    ] = 9
    options = {"overlap": 0.7, "stability_offset": 1.0}
    assert group_maps(maps, view=View((0, 0, 8, 8)), **options).clicks.tolist() == [0, 1]
    view = View((0, 0, 8, 8), **{f"open_{edge}": True})
    assert group_maps(maps, view=view, **options).clicks.tolist() == [0]


def test_levels_of_one_click_are_nested_masks_of_their_own():
    rows, columns = np.mgrid[:21, :21] - 10
    distance = np.hypot(rows, columns)
    map_ = (6 - distance).astype(np.float32)  # a cone: level sets are discs
    cuts = (level_threshold(0.9), level_threshold(0.5), level_threshold(0.1))
    found = group_maps(map_[None], overlap=0.9, stability_offset=0.1, thresholds=cuts)
    assert sorted(found.thresholds.tolist()) == sorted(np.float32(cuts).tolist())
    for mask, cut in zip(found.masks, found.thresholds, strict=True):
        np.testing.assert_array_equal(mask, map_ > cut)


def test_proposals_do_not_overlap_at_the_images_size_either():
    rng = np.random.default_rng(0)

    class Noise(ExactClicks):
        def click_logits(self, features, size_hw, clicks_xy, positive):
            coarse = np.stack(
                [np.random.default_rng([x, y]).normal(size=(3, 4)) for x, y in clicks_xy.tolist()]
            )
            return resize_maps(coarse.astype(np.float32), (24, 32))

    image = rng.integers(0, 255, (190, 260, 3)).astype(np.uint8)
    for overlap in (0.1, 0.5, 0.8):
        found = propose_from_clicks(Noise(), image, grid=ClickGrid(overlap=overlap, crop_layers=1))
        between = pairwise_iou(found.masks, found.masks)[~np.eye(len(found), dtype=bool)]
        assert len(found) > 1 and between.max() <= overlap


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_size_of_chunks_changes_nothing(scene, chunk):
    image, _ = scene
    expected = propose_from_clicks(ExactClicks(2), image, grid=ClickGrid(per_side=6))
    found = propose_from_clicks(ExactClicks(2), image, grid=ClickGrid(per_side=6, chunk=chunk))
    np.testing.assert_array_equal(found.masks, expected.masks)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("size_hw", [(6, 9), (24, 36), (50, 37), (5, 40)])
def test_a_window_of_a_resized_map_is_what_the_whole_has_there(size_hw):
    rng = np.random.default_rng(0)
    map_ = rng.normal(size=(6, 9)).astype(np.float32)
    whole = resize_maps(map_[None], size_hw)[0]
    for _ in range(30):
        mask = rng.random((6, 9)) < 0.1
        window, (left, top) = resize_window(map_, size_hw, around=mask)
        part = whole[top : top + window.shape[0], left : left + window.shape[1]]
        np.testing.assert_allclose(window, part, atol=1e-5)
        outside = resize_maps(mask[None].astype(np.float32), size_hw)[0] > 0
        outside[top : top + window.shape[0], left : left + window.shape[1]] = False
        assert not outside.any()


@pytest.mark.parametrize(
    "options",
    [
        {"per_side": 0},
        {"chunk": 0},
        {"levels": ()},
        {"levels": (1.0,)},
        {"overlap": 1.5},
        {"crop_layers": -1},
        {"min_stability": 2.0},
        {"stability_offset": -1.0},
    ],
)
def test_a_grid_that_cannot_be_asked_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ClickGrid(**options)


def test_the_predicted_iou_is_that_of_truths_drawn_from_the_map():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (3, 9, 11)).astype(np.float32)
    for threshold in (0.0, 1.0):
        probability = 1 / (1 + np.exp(threshold - logits))
        drawn = generator.random((4000, *logits.shape)) < probability
        inside = logits > threshold
        shared = (drawn & inside).sum(axis=(2, 3)).mean(axis=0)
        union = (drawn | inside).sum(axis=(2, 3)).mean(axis=0)
        expected = predicted_iou(logits, threshold=threshold)
        np.testing.assert_allclose(expected, shared / union, atol=0.01)


def test_sure_maps_predict_one_and_empty_ones_nothing():
    sure = np.full((1, 4, 4), -100, np.float32)
    assert predicted_iou(sure).tolist() == [0]
    sure[:, :2] = 100
    assert predicted_iou(sure)[0] == pytest.approx(1)


def test_scores_are_those_of_the_ranking_and_descend():
    generator = np.random.default_rng(1)
    logits = gaussian_filter(generator.normal(0, 9, (6, 20, 20)), (0, 3, 3))
    logits = (8 * logits).astype(np.float32)
    options = {"overlap": 1.0, "stability_offset": 1.0}
    found = {
        ranking: group_maps(logits, ranking=ranking, **options)
        for ranking in ("stability", "predicted_iou", "mean_score")
    }
    stable, predicted = stability(logits, offset=1.0), predicted_iou(logits)
    own = {
        "stability": stable,
        "predicted_iou": predicted,
        "mean_score": (stable + predicted) / 2,
    }
    for ranking, masks in found.items():
        assert masks.scores.tolist() == own[ranking][masks.clicks].tolist()
        assert (np.diff(masks.scores) <= 0).all()


def test_what_is_less_stable_is_no_mask_whatever_the_ranking():
    logits = np.full((2, 8, 8), -0.5, np.float32)
    logits[0, :4] = 9
    logits[1, 4:] = 0.5  # gone by a cut a little higher
    options = {"overlap": 0.9, "stability_offset": 1.0, "min_stability": 0.5}
    for ranking in ("stability", "predicted_iou", "mean_score"):
        found = group_maps(logits, ranking=ranking, **options)
        assert 1 not in found.clicks
