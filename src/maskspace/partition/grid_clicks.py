"""Zero-shot segmentation: a grid of clicks on a ClickModel becomes ranked mask proposals.

Each pixel goes to the surest of the clicks that claim it; connected components of that assignment
are superpixels; each click's mask is rounded to a union of them; duplicates go by mask NMS.
Ranking by stability is that of Segment Anything (Kirillov et al. 2023, arXiv:2304.02643, §5).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, UInt8

from maskspace.masks import boxes_xywh
from maskspace.partition.nms import box_nms, union_nms
from maskspace.partition.resample import resize_maps
from maskspace.partition.superpixels import equal_components
from maskspace.types import ClickModel, Features, Proposals

#: What must overlap for a mask to be a duplicate; "box" is for comparison with those who use it.
NMS = Literal["mask", "box"]


def propose_from_clicks(
    model: ClickModel,
    image: UInt8[np.ndarray, "h w 3"],
    *,
    limit: int = 100,
    per_side: int = 16,
    chunk: int = 64,
    overlap: float = 0.7,
    stability_offset: float = 1.0,
    nms: NMS = "mask",
) -> Proposals:
    """Return up to `limit` proposals at the image's size, most stable first.

    `per_side` clicks a side, decoded `chunk` at a time; of masks with an IoU above `overlap`, of
    themselves or of their boxes, the most stable stays. Everything but the survivors' pixels is
    done at the model's resolution.
    """
    if limit < 1:
        raise ValueError(f"proposals: limit is at least 1; got {limit}")
    size_hw = (image.shape[0], image.shape[1])
    clicks_xy = click_grid(size_hw, per_side=per_side)
    positive = np.ones(len(clicks_xy), bool)
    features = model.encode(image)
    logits = decode_clicks(model, features, size_hw, clicks_xy, positive, chunk=chunk)
    found = group_maps(logits, overlap=overlap, stability_offset=stability_offset, nms=nms)
    masks = np.zeros((min(limit, len(found.clicks)), *size_hw), bool)
    for index, mask in enumerate(masks):
        mask[:] = _at_size(found.masks[index], logits[found.clicks[index]], size_hw)
    seen = masks.any(axis=(1, 2))
    return Proposals(masks[seen], found.scores[: len(masks)][seen])


def click_grid(size_hw: tuple[int, int], *, per_side: int) -> Int64[np.ndarray, "k 2"]:
    """Return the centre pixels x y of a grid of cells, row by row; no two are the same pixel."""
    if per_side < 1:
        raise ValueError(f"a grid of clicks has at least 1 a side; got {per_side}")
    rows, columns = (
        (2 * np.arange(n) + 1) * side // (2 * n)
        for side, n in ((side, min(side, per_side)) for side in size_hw)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def decode_clicks(
    model: ClickModel[Features],
    features: Features,
    size_hw: tuple[int, int],
    clicks_xy: Int64[np.ndarray, "k 2"],
    positive: Bool[np.ndarray, " k"],
    *,
    chunk: int,
) -> Float32[np.ndarray, "k r s"]:
    """Return each click's logit map, decoded in chunks of exactly `chunk` clicks.

    The last chunk is padded with its first click: one shape means one compiled kernel and a bounded
    memory.
    """
    maps = []
    for start in range(0, len(clicks_xy), chunk):
        picked = np.arange(start, start + chunk)
        picked[picked >= len(clicks_xy)] = start
        decoded = model.click_logits(features, size_hw, clicks_xy[picked], positive[picked])
        maps.append(decoded[: len(clicks_xy) - start])
    return np.concatenate(maps)


@dataclass(frozen=True)
class ClickMasks:
    """Masks at the model's resolution, most stable first, with the click each came from."""

    masks: Bool[np.ndarray, "n r s"]
    scores: Float32[np.ndarray, " n"]
    clicks: Int64[np.ndarray, " n"]


def group_maps(
    logits: Float32[np.ndarray, "k r s"],
    *,
    overlap: float,
    stability_offset: float,
    nms: NMS = "mask",
) -> ClickMasks:
    """Return the distinct masks of the clicks' maps as unions of superpixels."""
    if nms not in get_args(NMS):
        raise ValueError(f"nms compares {' or '.join(get_args(NMS))}; got {nms!r}")
    labels = equal_components(surest_click(logits))
    areas = np.bincount(labels.ravel())[1:]
    covered = _superpixels_covered(logits, labels, areas)
    scores = stability(logits, offset=stability_offset)
    some = np.flatnonzero(covered.any(axis=1))
    if nms == "box":
        boxes = boxes_xywh(covered[some].take(labels - 1, axis=1))
        kept = some[box_nms(boxes, scores[some], overlap=overlap)]
    else:
        kept = some[union_nms(covered[some], areas, scores[some], overlap=overlap)]
    return ClickMasks(covered[kept].take(labels - 1, axis=1), scores[kept], kept)


def surest_click(logits: Float32[np.ndarray, "k r s"]) -> Int32[np.ndarray, "r s"]:
    """Return at each pixel the click of the largest logit above 0, ties to the first; else -1."""
    return np.where(logits.max(axis=0) > 0, logits.argmax(axis=0), -1).astype(np.int32)


def stability(logits: Float32[np.ndarray, "k r s"], *, offset: float) -> Float32[np.ndarray, " k"]:
    """Return the IoU of each map's masks above `offset` and -`offset`, 0 if both are empty."""
    high, low = ((logits > level).sum(axis=(1, 2)) for level in (offset, -offset))
    return (high / np.maximum(low, 1)).astype(np.float32)


def _superpixels_covered(
    logits: Float32[np.ndarray, "k r s"],
    labels: Int32[np.ndarray, "r s"],
    areas: Int64[np.ndarray, " n"],
) -> Bool[np.ndarray, "k n"]:
    """Return which superpixels each click's map covers by more than half."""
    inside = [np.bincount(labels[claimed], minlength=len(areas) + 1)[1:] for claimed in logits > 0]
    return 2 * np.stack(inside) > areas


def _at_size(
    mask: Bool[np.ndarray, "r s"], logits: Float32[np.ndarray, "r s"], size_hw: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """Return a mask at the image's size with the border between pixels where the logits put it.

    Logits whose sign the mask overrules are turned round, so that at the model's own resolution
    the result is the mask itself.
    """
    smallest = np.finfo(np.float32).tiny
    signed = np.where(mask, 1, -1) * np.maximum(np.abs(logits), smallest)
    return resize_maps(signed.astype(np.float32)[None], size_hw)[0] > 0
