"""Automatic mask generation of Segment Anything, as its authors published it.

Kirillov et al. 2023 (arXiv:2304.02643), §5 and `SamAutomaticMaskGenerator`, whose names and
defaults the options have; SAM 2's (Ravi et al. 2024, arXiv:2408.00714) differs by `pred_iou_thresh`
and in that its clean-up of small regions needs a CUDA extension and is left out without a word
where that is missing; here it is SAM's.

Departures, none of which changes a mask: maps that fail by their predicted IoU are not enlarged;
those that pass are enlarged a few at a time and kept as run lengths. An empty mask, which only
thresholds of 0 let pass, is no proposal. The authors' order is not a ranking across crops: here the
option `ranking` decides, and ties are in their order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from maskspace.masks import boxes_xywh, decode, encode
from maskspace.partition.nms import box_nms
from maskspace.partition.small_regions import clean_small_regions
from maskspace.partition.views import View, image_views
from maskspace.peers.prompted import PromptedNetwork
from maskspace.types import Prediction

#: What proposals can be ranked by; `mean_score` is that of the authors' table of proposals.
MaskRanking = Literal["predicted_iou", "stability_score", "mean_score"]
Share = Annotated[float, Field(ge=0, le=1)]

_EDGE = 20  # pixels from the edge of a crop at which a mask counts as cut off by it
_BLOCK_PIXELS = 2**24  # of maps enlarged at one time


@dataclass(frozen=True, eq=False)
class Candidates:
    """Masks of the image as COCO's run lengths, each with what it is judged by.

    `spans_xywh` are the authors' boxes: w and h are the last column and row less the first, one
    pixel less than covered, and 0 for an empty mask.

    Example:
        >>> sure = np.ones(1, np.float32)
        >>> box = np.array([[0, 0, 2, 2]])
        >>> found = Candidates(counts=["04"], spans_xywh=box, predicted_iou=sure, stability=sure)
        >>> len(found.take(np.array([0])).counts), len(Candidates.join([found, found]).counts)
        (1, 2)
    """

    counts: list[str]
    spans_xywh: Int64[np.ndarray, "n 4"]
    predicted_iou: Float32[np.ndarray, " n"]
    stability: Float32[np.ndarray, " n"]

    def take(self, kept: Int64[np.ndarray, " m"]) -> "Candidates":
        """Return the candidates at these places, in this order."""
        return Candidates(
            [self.counts[index] for index in kept],
            self.spans_xywh[kept],
            self.predicted_iou[kept],
            self.stability[kept],
        )

    @staticmethod
    def join(parts: list["Candidates"]) -> "Candidates":
        """Return all candidates of several."""
        return Candidates(
            [counts for part in parts for counts in part.counts],
            np.concatenate([np.zeros((0, 4), np.int64), *(part.spans_xywh for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.predicted_iou for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.stability for part in parts)]),
        )


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What masks must pass; a threshold of 0 lets all pass.

    Example:
        >>> passes = Filter(
        ...     pred_iou_thresh=0.88,
        ...     stability_score_thresh=0.95,
        ...     stability_score_offset=1.0,
        ...     mask_threshold=0.0,
        ... )
        >>> passes.pred_iou_thresh
        0.88
    """

    pred_iou_thresh: float
    stability_score_thresh: float
    stability_score_offset: float
    mask_threshold: float


def automatic_masks(
    network: Callable[..., PromptedNetwork],
    image: UInt8[np.ndarray, "h w 3"],
    *,
    weights: str,
    device: str = "cpu",
    limit: int = 100,
    ranking: MaskRanking = "predicted_iou",
    points_per_side: PositiveInt = 32,
    points_per_batch: PositiveInt = 64,
    pred_iou_thresh: Share = 0.88,
    stability_score_thresh: Share = 0.95,
    stability_score_offset: Annotated[float, Field(ge=0)] = 1.0,
    mask_threshold: float = 0.0,
    box_nms_thresh: Share = 0.7,
    crop_n_layers: NonNegativeInt = 0,
    crop_nms_thresh: Share = 0.7,
    crop_overlap_ratio: Share = 512 / 1500,
    crop_n_points_downscale_factor: PositiveInt = 1,
    min_mask_region_area: NonNegativeInt = 0,
) -> Prediction:
    """Return at most `limit` masks of a grid of clicks, on the image and on crops of it.

    Best first by `ranking`: the network's predicted IoU, the stability, or the mean of both. Of
    masks whose boxes overlap too much the one of the larger predicted IoU stays, between crops
    that of the smaller crop.
    """
    if limit < 1:
        raise ValueError(f"proposals: limit is at least 1; got {limit}")
    asked = network(weights=weights, device=device)
    size_hw = (image.shape[0], image.shape[1])
    passes = Filter(
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        stability_score_offset=stability_score_offset,
        mask_threshold=mask_threshold,
    )
    crops = image_views(size_hw, layers=crop_n_layers, overlap=crop_overlap_ratio)
    parts = []
    for crop in crops:
        per_side = int(points_per_side / crop_n_points_downscale_factor**crop.layer)
        found = masks_of_crop(
            asked, image, crop, per_side=per_side, chunk=points_per_batch, passes=passes
        )
        parts.append(
            found.take(box_nms(found.spans_xywh, found.predicted_iou, overlap=box_nms_thresh))
        )
    found = Candidates.join(parts)
    if len(crops) > 1:
        numbers = [len(part.counts) for part in parts]
        smaller_first = np.repeat([1 / _area(crop) for crop in crops], numbers)
        found = found.take(box_nms(found.spans_xywh, smaller_first, overlap=crop_nms_thresh))
    if min_mask_region_area > 0:
        overlap = max(box_nms_thresh, crop_nms_thresh)
        found = clean(found, size_hw, min_area=min_mask_region_area, overlap=overlap)
    return ranked_proposals(found, size_hw, ranking=ranking, limit=limit)


def point_grid(per_side: int) -> Float64[np.ndarray, "p 2"]:
    """Return the centres x y of a grid of cells in the unit square, row by row.

    Example:
        >>> point_grid(2).tolist()
        [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    if per_side < 1:
        raise ValueError("crops at this layer have no point; lower crop_n_points_downscale_factor")
    offset = 1 / (2 * per_side)
    steps = np.linspace(offset, 1 - offset, per_side)
    x, y = np.meshgrid(steps, steps)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def masks_of_crop(
    network: PromptedNetwork,
    image: UInt8[np.ndarray, "h w 3"],
    crop: View,
    *,
    per_side: int,
    chunk: int,
    passes: Filter,
) -> Candidates:
    """Return the masks of a grid of clicks on a crop that pass, point by point.

    Masks that end near an edge of the crop which is none of the image's are left out.
    """
    left, top, right, bottom = crop.box_xyxy
    seen = network.look(np.ascontiguousarray(crop.of(image)))
    points_xy = point_grid(per_side) * (right - left, bottom - top)
    size_hw = (image.shape[0], image.shape[1])
    parts = []
    for start in range(0, len(points_xy), chunk):
        some = points_xy[start : start + chunk, None]
        maps, scores = network.decode(seen, some, np.ones(some.shape[:2], bool), multimask=True)
        logits, predicted_iou = maps.flatten(0, 1), scores.flatten()
        if passes.pred_iou_thresh > 0:
            good = predicted_iou > passes.pred_iou_thresh
            logits, predicted_iou = logits[good], predicted_iou[good]
        # few enough at a time to be enlarged together
        count = max(1, _BLOCK_PIXELS // max(network.side**2, size_hw[0] * size_hw[1]))
        for block, block_iou in zip(logits.split(count), predicted_iou.split(count), strict=True):
            full = network.enlarge(block, seen)
            parts.append(_passing(full, block_iou, crop, size_hw, passes))
    return Candidates.join(parts)


def _passing(
    logits: Float32[Tensor, "n r s"],
    predicted_iou: Float32[Tensor, " n"],
    crop: View,
    size_hw: tuple[int, int],
    passes: Filter,
) -> Candidates:
    """Return the masks of a crop's logits that are stable and not cut off by its edge."""
    score = threshold_stability(logits, passes)
    if passes.stability_score_thresh > 0:
        good = score >= passes.stability_score_thresh
        logits, predicted_iou, score = logits[good], predicted_iou[good], score[good]
    masks = (logits > passes.mask_threshold).cpu().numpy()
    spans = boxes_xywh(masks)
    spans[:, 2:] = np.maximum(spans[:, 2:] - 1, 0)
    spans[:, :2] += crop.box_xyxy[:2]
    kept = np.flatnonzero(~_cut_off(spans, crop, size_hw))
    left, top, right, bottom = crop.box_xyxy
    placed = np.zeros((len(kept), *size_hw), bool)
    placed[:, top:bottom, left:right] = masks[kept]
    values = predicted_iou.cpu().numpy()[kept], score.cpu().numpy()[kept]
    return Candidates(encode(placed), spans[kept], *values)


def threshold_stability(logits: Float32[Tensor, "n r s"], passes: Filter) -> Float32[Tensor, " n"]:
    """Return the IoU of the masks at a higher and at a lower threshold; 0 if both are empty.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[5.0, 0.5, -5.0]]])  # one pixel is sure, one is not
        >>> passes = Filter(
        ...     pred_iou_thresh=0.0,
        ...     stability_score_thresh=0.0,
        ...     stability_score_offset=1.0,
        ...     mask_threshold=0.0,
        ... )
        >>> threshold_stability(logits, passes).tolist()
        [0.5]
    """
    high, low = (
        (logits > passes.mask_threshold + sign * passes.stability_score_offset).sum(dim=(1, 2))
        for sign in (1, -1)
    )
    return high / low.clamp(min=1)


def _cut_off(
    spans_xywh: Int64[np.ndarray, "n 4"], crop: View, size_hw: tuple[int, int]
) -> Bool[np.ndarray, " n"]:
    ends_xyxy = np.concatenate([spans_xywh[:, :2], spans_xywh[:, :2] + spans_xywh[:, 2:]], axis=1)
    of_image = np.array([0, 0, size_hw[1], size_hw[0]])
    near_crop, near_image = (
        np.abs(ends_xyxy - edges) <= _EDGE for edges in (np.array(crop.box_xyxy), of_image)
    )
    return np.asarray((near_crop & ~near_image).any(axis=1))


def _area(crop: View) -> int:
    left, top, right, bottom = crop.box_xyxy
    return (right - left) * (bottom - top)


def clean(
    found: Candidates, size_hw: tuple[int, int], *, min_area: int, overlap: float
) -> Candidates:
    """Return masks without holes and islands below `min_area`, without new duplicates.

    Of duplicates one that had none of these stays, else the first.
    """
    counts, spans = list(found.counts), found.spans_xywh.copy()
    untouched = np.ones(len(counts))
    for index, text in enumerate(counts):
        cleaned, touched = clean_small_regions(decode([text], size_hw), min_area=min_area)
        if touched[0]:
            counts[index], untouched[index] = encode(cleaned)[0], 0
            spans[index] = boxes_xywh(cleaned)[0]
            spans[index, 2:] = np.maximum(spans[index, 2:] - 1, 0)
    kept = box_nms(spans, untouched, overlap=overlap)
    return Candidates(counts, spans, found.predicted_iou, found.stability).take(kept)


def ranked_proposals(
    found: Candidates, size_hw: tuple[int, int], *, ranking: MaskRanking, limit: int
) -> Prediction:
    """Return the first `limit` masks by what ranks them, without empty ones."""
    scores = {
        "predicted_iou": found.predicted_iou,
        "stability_score": found.stability,
        "mean_score": (found.predicted_iou + found.stability) / 2,
    }[ranking]
    empty = encode(np.zeros((1, *size_hw), bool))[0]
    order = np.argsort(-scores, kind="stable")
    best = np.array([i for i in order if found.counts[i] != empty][:limit], np.int64)
    return Prediction.of_strings([found.counts[index] for index in best], size_hw, scores[best])
