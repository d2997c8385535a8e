"""Best IoU of each true mask among the first ranked proposals: the curve this project reports.

One proposal may serve several truths and the order inside a budget does not matter, unlike COCO's
recall (`recall.py`). The mean over truths equals best-match recall integrated over IoU in (0, 1]
(proofs: `docs/metrics.md`); J. Hosang, R. Benenson, P. Dollár, B. Schiele, 2015, arXiv 1502.05082,
section 5.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from maskspace.masks.iou_table import iou_table


def best_iou(iou: Float64[np.ndarray, "n m"], counts: Sequence[int]) -> Float64[np.ndarray, "k m"]:
    """Return for each budget in `counts` the best IoU of each of m truths.

    Args:
        iou: `iou[i, j]` is the IoU of proposal i with truth j; proposals are ordered, best first.
        counts: budgets of proposals, each >= 1; one above n takes all n proposals.

    Without proposals the best IoU is 0. Raises ValueError for a budget below 1.

    Example:
        >>> iou = np.array([[0.5, 0.0], [0.2, 0.8]])  # two proposals, two truths
        >>> best_iou(iou, [1, 2]).tolist()
        [[0.5, 0.0], [0.5, 0.8]]
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
    """Return the mean over the true masks of their best IoU with the first proposals.

    Args:
        predicted: proposals, best first.
        true: true masks.
        limit: number of proposals that count (default None: all).

    Raises ValueError where there is no true mask.

    Example:
        >>> true = np.zeros((2, 4, 4), bool)
        >>> true[0, :2], true[1, 2:] = True, True
        >>> mean_best_iou(true[:1], true)
        0.5
    """
    if len(true) == 0:
        raise ValueError("no true mask; the mean over truths needs one or more")
    iou = iou_table(predicted, true)
    return float(best_iou(iou, [limit or max(1, len(predicted))]).mean())


def best_match_recall(
    best: Float64[np.ndarray, " m"], thresholds: Float64[np.ndarray, " t"]
) -> Float64[np.ndarray, " t"]:
    """Return the share of truths whose best IoU reaches each threshold.

    Example:
        >>> best_match_recall(np.array([0.4, 0.6, 1.0]), np.array([0.5, 1.0])).round(3).tolist()
        [0.667, 0.333]
    """
    ranked = np.sort(best)
    return 1 - np.searchsorted(ranked, thresholds, side="left") / len(best)


def recall_integral(best: Float64[np.ndarray, " m"], *, low: float = 0.0) -> float:
    """Return the recall of best matches averaged over every IoU in (low, 1], without thresholds.

    It is the mean of max(best - low, 0), divided by 1 - low. With `low` 0 (the default) it is the
    mean best IoU, with `low` 0.5 Hosang's average recall. Raises ValueError for `low` outside of
    [0, 1).

    Example:
        >>> best = np.array([0.4, 0.8])
        >>> bool(recall_integral(best) == best.mean())
        True
    """
    if not 0 <= low < 1:
        raise ValueError(f"recall is averaged from an IoU in [0, 1); got {low}")
    return float(np.maximum(best - low, 0).mean() / (1 - low))
