"""Measure ranked proposals: best IoU of each truth by budget, and the matches COCO's AR counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from maskspace.evaluation.truth import Truth
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.best_iou import best_iou
from maskspace.metrics.recall import THRESHOLDS, greedy_matches
from maskspace.types import Prediction


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """One image: `best_iou[i, j]` of truth j in budget i, and truths matched, over 10 IoUs."""

    best_iou: Float64[np.ndarray, "k m"]
    matched: tuple[int, ...]
    proposals: int


def zero_shot(
    proposed: Prediction,
    truth: Truth,
    *,
    limit: int,
    proposal_counts: Sequence[int],
    recall_counts: Sequence[int],
) -> ZeroShot:
    """Return how well `limit` proposals hold the true masks; ignored pixels are left out.

    `matched[k]` counts the pairs of a truth and one of COCO's ten thresholds that the first
    `recall_counts[k]` proposals serve, so that counts add up over images as COCO pools them.
    """
    seen = ~truth.ignore if truth.ignore.any() else np.True_
    tables = [iou_table(block & seen, truth.masks) for block in proposed.blocks()]
    iou = np.concatenate([np.zeros((0, len(truth.masks))), *tables])[:limit]
    ranks = greedy_matches(iou[: max(recall_counts, default=0)])
    return ZeroShot(
        best_iou=best_iou(iou, proposal_counts),
        matched=tuple(int((ranks < count).sum()) for count in recall_counts),
        proposals=len(iou),
    )


def pooled_recall(matched: int, truths: int) -> float:
    """Return COCO's average recall of pooled counts: matches over truths, mean over thresholds."""
    return matched / (truths * len(THRESHOLDS))
