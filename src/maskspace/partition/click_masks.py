"""Logit maps of many clicks -> distinct masks, at the maps' own resolution.

Input: a map for each click. Steps:
1. each pixel goes to the surest of the clicks that claim it; the connected components of this
   assignment are superpixels;
2. the mask of a click is rounded to the superpixels that it covers by more than half: those where
   the mean probability of its map is above a half, so that a pixel weighs by how sure it is;
3. of near-duplicates the best stays: the most stable, that of the largest predicted IoU, or by the
   mean of both.

Stability is Segment Anything's (Kirillov et al. 2023, arXiv:2304.02643, §5). The predicted IoU
needs no head of its own: the probabilities of the map tell it. Masks may also stay as they are.
Rounding makes them sensitive: one pixel may join two superpixels, or decide whether a mask covers
half of one, so that a change of a thousandth of the logits may change a rounded mask a lot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from maskspace.masks import boxes_xywh
from maskspace.masks.shared_area import atom_labels
from maskspace.partition.nms import box_nms, union_nms
from maskspace.partition.superpixels import equal_components
from maskspace.partition.views import View

#: What has to overlap for a mask to be a duplicate; "box" is there for comparison with others.
NMS = Literal["mask", "box"]
#: The score by which the best of duplicates stays, and by which proposals are ordered.
Ranking = Literal["stability", "predicted_iou", "mean_score"]


@dataclass(frozen=True, eq=False)
class ClickMasks:
    """Masks at the maps' resolution, best first, with scores, clicks and thresholds.

    `clicks` holds the index of each mask's click, `thresholds` the logit at which its map was cut.

    Example:
        >>> logits = np.array([[[9.0, 9.0, -9.0, -9.0]], [[-9.0, -9.0, 9.0, 9.0]]], np.float32)
        >>> found = group_maps(logits, overlap=0.7, stability_offset=1.0)
        >>> found.clicks.tolist(), found.thresholds.tolist()
        ([0, 1], [0.0, 0.0])
    """

    masks: Bool[np.ndarray, "n r s"]
    scores: Float32[np.ndarray, " n"]
    clicks: Int64[np.ndarray, " n"]
    thresholds: Float32[np.ndarray, " n"]


def group_maps(
    logits: Float32[np.ndarray, "k r s"],
    *,
    overlap: float,
    stability_offset: float,
    min_stability: float = 0.0,
    ranking: Ranking = "stability",
    nms: NMS = "mask",
    rounded: bool = True,
    thresholds: tuple[float, ...] = (0.0,),
    view: View | None = None,
) -> ClickMasks:
    """Return the distinct masks of the clicks' maps.

    Args:
        logits: a map for each click.
        overlap: of two masks with a larger IoU the better stays, in [0, 1].
        stability_offset: logits from a threshold to each of the two cuts whose IoU is the
            stability, >= 0.
        min_stability: less stable masks are left out (default 0: none).
        ranking: "stability", "predicted_iou" or "mean_score", the mean of both; it gives the scores
            (default "stability").
        nms: "mask" takes the IoU of masks, "box" that of their boxes (default "mask").
        rounded: True rounds masks to unions of superpixels (default True).
        thresholds: each map is cut at each of these logits (default 0 alone).
        view: the part of the image that the maps show; masks that reach an edge beyond which the
            image goes on are cut off there, and are left out (default None: the whole image).

    Raises ValueError for an unknown ranking or nms.

    Example:
        >>> logits = np.array([[[9.0, 9.0, -9.0]], [[9.0, 9.0, -9.0]]], np.float32)  # equal
        >>> found = group_maps(logits, overlap=0.7, stability_offset=1.0)
        >>> found.masks.astype(int).tolist(), found.scores.tolist()
        ([[[1, 1, 0]]], [1.0])
    """
    if ranking not in get_args(Ranking):
        raise ValueError(f"masks are ranked by {', '.join(get_args(Ranking))}; got {ranking!r}")
    if nms not in get_args(NMS):
        raise ValueError(f"nms compares {' or '.join(get_args(NMS))}; got {nms!r}")
    if rounded:
        labels = equal_components(surest_claims(logits, thresholds))
    else:  # pieces that no mask divides
        labels = atom_labels(np.concatenate([logits > cut for cut in thresholds]))
    areas = np.bincount(labels.ravel())[1:]
    cuts = np.tile(np.array(thresholds, np.float32), len(logits))
    clicks = np.arange(len(logits)).repeat(len(thresholds))
    covered = np.stack([_covered(logits - np.float32(cut), labels) for cut in thresholds], axis=1)
    covered = covered.reshape(len(clicks), len(areas))
    stable = np.stack(
        [stability(logits, offset=stability_offset, threshold=cut) for cut in thresholds], axis=1
    ).ravel()
    scores = stable
    if ranking != "stability":
        scores = np.stack([predicted_iou(logits, threshold=cut) for cut in thresholds], 1).ravel()
    if ranking == "mean_score":
        scores = (scores + stable) / 2
    is_wanted = covered.any(axis=1) & (stable >= min_stability)
    if view is not None:
        is_wanted &= ~covered[:, _at_open_edges(labels, view) - 1].any(axis=1)
    candidates = np.flatnonzero(is_wanted)
    if nms == "box":
        boxes = boxes_xywh(covered[candidates].take(labels - 1, axis=1))
        kept = candidates[box_nms(boxes, scores[candidates], overlap=overlap)]
    else:
        kept = candidates[
            union_nms(covered[candidates], areas, scores[candidates], overlap=overlap)
        ]
    return ClickMasks(
        covered[kept].take(labels - 1, axis=1), scores[kept], clicks[kept], cuts[kept]
    )


def surest_claims(
    logits: Float32[np.ndarray, "k r s"], thresholds: Sequence[float]
) -> Int32[np.ndarray, "r s"]:
    """Return for each pixel a number made of its surest click and how surely it claims it.

    The number is click * t + i, where t is the number of thresholds and i + 1 the number of them
    that the click's logit exceeds; -1 where it exceeds none. So each level set of a click is a
    union of pieces of equal numbers, where the click is the surest. With one threshold the number
    is the click. Of equally sure clicks the first counts.

    Example:
        >>> logits = np.array([[[1.0, 2.0, -1.0]], [[3.0, 1.0, -2.0]]], np.float32)
        >>> surest_claims(logits, (0.0,)).tolist()
        [[1, 0, -1]]
    """
    ascending = np.sort(np.array(thresholds, np.float32))
    exceeded = np.searchsorted(ascending, logits.max(axis=0))
    claims = logits.argmax(axis=0) * len(ascending) + exceeded - 1
    return np.where(exceeded > 0, claims, -1).astype(np.int32)


def stability(
    logits: Float32[np.ndarray, "k r s"], *, offset: float, threshold: float = 0.0
) -> Float32[np.ndarray, " k"]:
    """Return for each map the IoU of its masks cut above and below a threshold.

    Args:
        logits: a map for each click.
        offset: logits between the threshold and each cut.
        threshold: logit in the middle (default 0).

    It is 0 where both masks are empty.

    Example:
        >>> logits = np.array([[[5.0, 0.5, -5.0]]], np.float32)
        >>> stability(logits, offset=1.0).tolist()  # one pixel of two is above 1
        [0.5]
    """
    high, low = (
        (logits > level).sum(axis=(1, 2)) for level in (threshold + offset, threshold - offset)
    )
    return (high / np.maximum(low, 1)).astype(np.float32)


def predicted_iou(
    logits: Float32[np.ndarray, "k r s"], *, threshold: float = 0.0
) -> Float32[np.ndarray, " k"]:
    """Return the IoU that each map expects of its mask above a threshold; 0 for an empty mask.

    It is the expected intersection over the expected union, if each pixel belongs to the object
    independently with the probability p that the map gives it: the sum of p inside, over the area
    of the mask plus the sum of p outside. `threshold` is a logit (default 0); with another value
    than 0 p is the probability of being inside this level.

    Example:
        >>> logits = np.array([[[0.0, 20.0, -20.0]]], np.float32)  # probabilities 0.5, 1 and 0
        >>> predicted_iou(logits, threshold=1.0).round(3).tolist()
        [0.7879999876022339]
    """
    probability = 1 / (1 + np.exp(np.clip(threshold - logits, -60, 60)))
    inside = logits > threshold
    shared = np.where(inside, probability, 0).sum(axis=(1, 2), dtype=np.float64)
    union = np.where(inside, 1, probability).sum(axis=(1, 2), dtype=np.float64)
    return (shared / np.maximum(union, 1e-12)).astype(np.float32)


def _covered(
    margins: Float32[np.ndarray, "k r s"],
    labels: Int32[np.ndarray, "r s"],
) -> Bool[np.ndarray, "k n"]:
    """Return which superpixels each map covers by more than half, by its mean probability there.

    `margins` are logits above the threshold. Summed is tanh(margin / 2) = 2 p - 1, which rounding
    never gives another sign: where all pixels of a piece are on one side, the piece is too.
    """
    inside = [
        np.bincount(labels.ravel(), weights=np.tanh(one / 2).ravel())[1:] > 0 for one in margins
    ]
    return np.stack(inside)


def _at_open_edges(labels: Int32[np.ndarray, "r s"], view: View) -> Int64[np.ndarray, " e"]:
    """Return the superpixels at the edges of a view beyond which the image goes on."""
    edges = {
        "left": (view.open_left, labels[:, 0]),
        "top": (view.open_top, labels[0]),
        "right": (view.open_right, labels[:, -1]),
        "bottom": (view.open_bottom, labels[-1]),
    }
    open_edges = [edge for is_open, edge in edges.values() if is_open]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *open_edges]))


def level_threshold(level: float) -> float:
    """Return the logit of a probability in (0, 1).

    Example:
        >>> level_threshold(0.5), round(level_threshold(0.75), 4)  # log 3
        (0.0, 1.0986)
    """
    return math.log(level / (1 - level))
