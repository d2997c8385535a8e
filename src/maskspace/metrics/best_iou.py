"""Best IoU of each true mask among the first ranked proposals: the curve this project reports.

One proposal may serve several truths and the order inside a budget does not matter, unlike COCO's
recall (`recall.py`). The mean over truths equals best-match recall integrated over IoU in (0, 1]
(proofs: `docs/metrics.md`); J. Hosang, R. Benenson, P. Dollár, B. Schiele, 2015, arXiv 1502.05082,
section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from maskspace.masks.iou_table import iou_table
from maskspace.metrics.sizes import SIZES, in_size


def best_iou(iou: Float64[np.ndarray, "n m"], counts: Sequence[int]) -> Float64[np.ndarray, "k m"]:
    """Return for each budget in `counts` the best IoU of each of m truths.

    `iou[i, j]` is that of proposal i, best ranked first, with truth j. A budget beyond n takes all
    proposals; with none the best IoU is 0. Budgets are at least 1.
    """
    if any(count < 1 for count in counts):
        raise ValueError(f"a budget of proposals is at least 1; got {min(counts)}")
    if len(iou) == 0:
        return np.zeros((len(counts), iou.shape[1]))
    best = np.maximum.accumulate(iou, axis=0)
    return best[[min(count, len(iou)) - 1 for count in counts]]


@dataclass(frozen=True, kw_only=True)
class SizeSums:
    """Best IoUs of an image's truths summed by budget and class of `SIZES`, and their numbers.

    Sums and counts of images add up; their quotient is the mean over all truths of a class.
    """

    sums: Float64[np.ndarray, "k z"]
    counts: Int64[np.ndarray, " z"]


def sums_by_size(best: Float64[np.ndarray, "k m"], areas: Int64[np.ndarray, " m"]) -> SizeSums:
    """Return the sums of `best_iou`'s rows over the truths of each size, areas in pixels."""
    inside = np.array([in_size(areas, size) for size in SIZES])  # z m
    return SizeSums(sums=best @ inside.T.astype(float), counts=inside.sum(axis=1))


def mean_best_iou(
    predicted: Bool[np.ndarray, "n h w"],
    true: Bool[np.ndarray, "m h w"],
    *,
    limit: int | None = None,
) -> float:
    """Return the mean over the true masks of their best IoU with the first `limit` proposals."""
    if len(true) == 0:
        raise ValueError("no true mask; the mean over truths needs one or more")
    iou = iou_table(predicted, true)
    return float(best_iou(iou, [limit or max(1, len(predicted))]).mean())


def best_match_recall(
    best: Float64[np.ndarray, " m"], thresholds: Float64[np.ndarray, " t"]
) -> Float64[np.ndarray, " t"]:
    """Return the share of truths whose best IoU reaches each threshold."""
    ranked = np.sort(best)
    return 1 - np.searchsorted(ranked, thresholds, side="left") / len(best)


def recall_integral(best: Float64[np.ndarray, " m"], *, low: float = 0.0) -> float:
    """Return best-match recall averaged over every IoU in (low, 1], without thresholds.

    The mean best IoU at `low` 0, Hosang's average recall at 0.5: the mean of max(best - low, 0),
    over 1 - low.
    """
    if not 0 <= low < 1:
        raise ValueError(f"recall is averaged from an IoU in [0, 1); got {low}")
    return float(np.maximum(best - low, 0).mean() / (1 - low))
