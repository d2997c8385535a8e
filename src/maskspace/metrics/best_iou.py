"""Best IoU of each true mask among the first ranked proposals: the curve this project reports.

One proposal may serve several truths and the order inside a budget does not matter, unlike COCO's
recall (`recall.py`). The mean over truths equals best-match recall integrated over IoU in (0, 1];
J. Hosang, R. Benenson, P. Dollár, B. Schiele, 2015, arXiv 1502.05082, section 5.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from maskspace import masks


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


def mean_best_iou(
    predicted: Bool[np.ndarray, "n h w"],
    true: Bool[np.ndarray, "m h w"],
    *,
    limit: int | None = None,
) -> float:
    """Return the mean over the true masks of their best IoU with the first `limit` proposals."""
    if len(true) == 0:
        raise ValueError("no true mask; the mean over truths needs one or more")
    iou = masks.pairwise_iou(predicted, true)
    return float(best_iou(iou, [limit or max(1, len(predicted))]).mean())


def best_match_recall(
    best: Float64[np.ndarray, " m"], thresholds: Float64[np.ndarray, " t"]
) -> Float64[np.ndarray, " t"]:
    """Return the share of truths whose best IoU reaches each threshold."""
    ranked = np.sort(best)
    return 1 - np.searchsorted(ranked, thresholds, side="left") / len(best)
