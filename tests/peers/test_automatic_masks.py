"""Automatic mask generation against a plain transcription of the published algorithm, and laws."""

from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
import pytest
import torch

from maskspace.masks import areas
from maskspace.partition.small_regions import clean_small_regions
from maskspace.partition.views import image_views
from maskspace.peers.automatic_masks import automatic_masks, point_grid
from maskspace.peers.sam import sam, sam_hq
from maskspace.peers.sam2 import sam2

NETWORKS = {"sam": sam, "sam-hq": sam_hq, "sam2": sam2}
#: Thresholds that some masks of random networks pass and some do not.
LOOSE = {
    "points_per_side": 6,
    "stability_score_thresh": 0.7,
    "stability_score_offset": 0.02,
    "limit": 10_000,
}
PREDICTED_IOU = {"sam": 0.42, "sam-hq": 0.6, "sam2": 0.5}
LOGIT = {"sam": 0.2, "sam-hq": 0.5, "sam2": 0.7}  # above which masks are small


@dataclass
class Found:
    mask: np.ndarray
    box: list[int]
    predicted_iou: float
    stability: float
    crop_area: int


def one_point(name, network, image, x, y):
    """Return the full-size logits and predicted IoU of one click, each step written out."""
    height, width = image.shape[:2]
    side = network.side
    seen = network.look(image)
    if name == "sam2":
        inside = (side, side)
    else:
        inside = tuple(int(n * (side / max(height, width)) + 0.5) for n in (height, width))
    point = torch.tensor([[[[x * inside[1] / width, y * inside[0] / height]]]], dtype=torch.float64)
    with torch.inference_mode():
        out = network.model(
            input_points=point, input_labels=torch.ones(1, 1, 1, dtype=torch.int64),
            multimask_output=True, **seen.features,
        )  # fmt: skip
    low, ious = out.pred_masks[0, 0], out.iou_scores[0, 0]
    if name == "sam-hq":  # one mask: that of the largest predicted IoU
        best = int(ious.argmax())
        low, ious = low[best : best + 1], ious[best : best + 1]
    enlarge = partial(torch.nn.functional.interpolate, mode="bilinear", align_corners=False)
    if name == "sam2":
        full = enlarge(low[None], (height, width))[0]
    else:
        square = enlarge(low[None], (side, side))
        full = enlarge(square[..., : inside[0], : inside[1]], (height, width))[0]
    return full.numpy(), ious.numpy()


def box_of(mask):
    if not mask.any():
        return [0, 0, 0, 0]
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max(), rows.max()]


def overlap(a, b):
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union if union else 0


def suppressed(found, score, threshold):
    kept = []
    for one in sorted(found, key=score, reverse=True):  # stable, as is the published one
        if all(overlap(one.box, other.box) <= threshold for other in kept):
            kept.append(one)
    return kept


def crops_by_the_book(height, width, layers):
    crops = [(0, 0, 0, width, height)]
    for layer in range(layers):
        number = 2 ** (layer + 1)
        shared = int(512 / 1500 * min(height, width) * (2 / number))
        wide = ceil((shared * (number - 1) + width) / number)
        high = ceil((shared * (number - 1) + height) / number)
        for i in range(number):
            for j in range(number):
                x, y = (wide - shared) * i, (high - shared) * j
                crops.append((layer + 1, x, y, min(x + wide, width), min(y + high, height)))
    return crops


def by_the_book(name, network, image, *, points_per_side, pred_iou_thresh, stability_score_thresh,
                stability_score_offset, mask_threshold, box_nms_thresh, limit,
                layers=0):  # fmt: skip
    """Return what SamAutomaticMaskGenerator does, one click and one pixel rule at a time."""
    height, width = image.shape[:2]
    everything = []
    for _, x0, y0, x1, y1 in crops_by_the_book(height, width, layers):
        crop, found = np.ascontiguousarray(image[y0:y1, x0:x1]), []
        for row in range(points_per_side):
            for column in range(points_per_side):
                x = (2 * column + 1) / (2 * points_per_side) * (x1 - x0)
                y = (2 * row + 1) / (2 * points_per_side) * (y1 - y0)
                for logits, iou in zip(*one_point(name, network, crop, x, y), strict=True):
                    high = (logits > mask_threshold + stability_score_offset).sum()
                    low = (logits > mask_threshold - stability_score_offset).sum()
                    stable = high / low if low else 0.0
                    if iou <= pred_iou_thresh or stable < stability_score_thresh:
                        continue
                    mask = logits > mask_threshold
                    box = [int(v) + d for v, d in zip(box_of(mask), (x0, y0, x0, y0), strict=True)]
                    edges = zip(box, (x0, y0, x1, y1), (0, 0, width, height), strict=True)
                    if any(abs(v - c) <= 20 and abs(v - i) > 20 for v, c, i in edges):
                        continue
                    whole = np.zeros((height, width), bool)
                    whole[y0:y1, x0:x1] = mask
                    area = (x1 - x0) * (y1 - y0)
                    found.append(Found(whole, box, float(iou), float(stable), area))
        everything += suppressed(found, lambda one: one.predicted_iou, box_nms_thresh)
    if layers:
        everything = suppressed(everything, lambda one: 1 / one.crop_area, 0.7)
    return sorted(everything, key=lambda one: -one.predicted_iou)[:limit]


@pytest.mark.parametrize(("name", "layers"), [("sam", 0), ("sam-hq", 0), ("sam2", 0), ("sam", 1)])
def test_masks_are_those_of_the_published_algorithm(name, layers, published, picture):
    weights = str(published[name])
    image = np.kron(picture, np.ones((1 + 2 * layers, 1 + 2 * layers, 1), np.uint8))
    loose = {**LOOSE, "pred_iou_thresh": PREDICTED_IOU[name], "mask_threshold": LOGIT[name]}
    loose |= {"stability_score_thresh": 0.3, "box_nms_thresh": 0.9}
    expected = by_the_book(name, NETWORKS[name](weights=weights), image, layers=layers, **loose)
    proposals = automatic_masks(
        NETWORKS[name], image, weights=weights, crop_n_layers=layers, **loose
    )
    assert len(expected) > 1
    assert len(proposals) == len(expected)
    np.testing.assert_allclose(
        proposals.scores, [one.predicted_iou for one in expected], rtol=1e-4, atol=1e-5
    )
    for mask, one in zip(proposals.masks, expected, strict=True):
        assert (mask != one.mask).sum() <= 1  # a logit of 0 but for rounding


@pytest.mark.parametrize("name", NETWORKS)
def test_the_size_of_batches_changes_nothing(name, published, picture):
    answers = [
        automatic_masks(
            NETWORKS[name],
            picture,
            weights=str(published[name]),
            points_per_batch=batch,
            pred_iou_thresh=PREDICTED_IOU[name],
            box_nms_thresh=0.95,
            **LOOSE,
        )
        for batch in (1, 7, 64)
    ]
    for other in answers[1:]:
        np.testing.assert_allclose(other.scores, answers[0].scores, rtol=1e-4, atol=1e-5)
        assert (other.masks != answers[0].masks).sum(axis=(1, 2)).max() <= 1


def test_without_thresholds_every_mask_comes_back_but_the_empty(published, picture):
    weights = str(published["sam"])
    everything = {**LOOSE, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    kept = automatic_masks(sam, picture, weights=weights, box_nms_thresh=1.0, **everything)
    network = sam(weights=weights)
    seen = network.look(picture)
    points_xy = point_grid(6)[:, None] * (picture.shape[1], picture.shape[0])
    maps, ious = network.decode(seen, points_xy, np.ones((36, 1), bool), multimask=True)
    masks = (network.enlarge(maps.flatten(0, 1), seen) > 0).numpy()
    order = np.argsort(-ious.flatten().numpy(), kind="stable")
    expected = masks[order][areas(masks[order]) > 0]
    assert len(kept) == len(expected) > 50
    assert (kept.masks != expected).sum() <= 3
    fewer = automatic_masks(sam, picture, weights=weights, **everything)
    assert len(fewer) < len(kept)


@pytest.mark.parametrize("ranking", ["predicted_iou", "stability_score", "mean_score"])
def test_a_ranking_orders_the_same_masks_and_a_limit_takes_the_first(ranking, published, picture):
    ask = partial(
        automatic_masks, sam, picture, weights=str(published["sam"]), pred_iou_thresh=0.1,
        box_nms_thresh=0.98, mask_threshold=0.2,
    )  # fmt: skip
    loose = {**LOOSE, "stability_score_thresh": 0.1}
    default, other = ask(**loose), ask(**loose, ranking=ranking)
    assert len(default) > 1
    assert (np.diff(other.scores) <= 0).all()
    assert {m.tobytes() for m in other.masks} == {m.tobytes() for m in default.masks}
    first = ask(**{**loose, "limit": 3}, ranking=ranking)
    np.testing.assert_array_equal(first.masks, other.masks[:3])
    np.testing.assert_array_equal(first.scores, other.scores[:3])


def test_clean_up_leaves_no_small_region(published, picture):
    ask = partial(
        automatic_masks, sam, picture, weights=str(published["sam"]), pred_iou_thresh=0.1,
        box_nms_thresh=0.98, **LOOSE,
    )  # fmt: skip
    before, after = ask(), ask(min_mask_region_area=30)
    assert clean_small_regions(before.masks, min_area=30)[1].any()
    assert len(after) and not clean_small_regions(after.masks, min_area=30)[1].any()


@pytest.mark.parametrize("per_side", [1, 2, 5, 32])
def test_points_are_centres_of_cells_row_by_row(per_side):
    points = point_grid(per_side)
    rows, columns = np.divmod(np.arange(per_side**2), per_side)
    np.testing.assert_allclose(points, np.stack([columns + 0.5, rows + 0.5], axis=1) / per_side)


@pytest.mark.parametrize("size_hw", [(40, 54), (100, 30), (333, 333)])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_crops_are_those_of_the_book_and_cover_the_image(size_hw, layers):
    crops = image_views(size_hw, layers=layers, overlap=512 / 1500)
    assert [(c.layer, *c.box_xyxy) for c in crops] == crops_by_the_book(*size_hw, layers)
    for layer in range(layers + 1):
        covered = np.zeros(size_hw, bool)
        for crop in crops:
            left, top, right, bottom = crop.box_xyxy
            if crop.layer == layer:
                covered[top:bottom, left:right] = True
        assert covered.all()


def test_what_cannot_be_asked_is_refused(published, picture):
    ask = partial(automatic_masks, sam, picture, weights=str(published["sam"]))
    with pytest.raises(ValueError, match="limit is at least 1"):
        ask(limit=0)
    with pytest.raises(ValueError, match="lower crop_n_points_downscale_factor"):
        ask(**LOOSE, crop_n_layers=1, crop_n_points_downscale_factor=8)
