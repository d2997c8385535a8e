"""Average recall as COCO defines it: greedy one-to-one matches in order of score.

T.-Y. Lin et al., Microsoft COCO, 2014, arXiv 1405.0312; pycocotools' COCOeval without categories,
one maxDets per budget. For a class of size only the truths of that class count. This gives
COCOeval's recall: there a proposal also chooses among these truths first, and a proposal that then
takes a truth of another size does not change the recall.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from maskspace import masks
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.sizes import in_size

#: COCO's ten IoU thresholds.
THRESHOLDS: Float64[np.ndarray, " t"] = np.linspace(0.5, 0.95, 10)

#: The rank of a truth that no proposal matched: beyond every budget.
UNMATCHED = np.iinfo(np.int64).max


def greedy_matches(
    iou: Float64[np.ndarray, "n m"], thresholds: Float64[np.ndarray, " t"] = THRESHOLDS
) -> Int64[np.ndarray, "t m"]:
    """Return at each threshold the rank of the proposal that matched each truth, or UNMATCHED.

    Proposals choose in order, best first. Each takes the free truth with the largest IoU at or
    above the threshold, and of equal ones the last, as pycocotools does. A truth is matched within
    the first k proposals if its rank is below k, so one matching serves every budget.

    Example:
        >>> iou = np.array([[0.6, 0.0], [0.9, 0.7]])  # two proposals, two truths
        >>> greedy_matches(iou, np.array([0.5])).tolist()
        [[0, 1]]
    """
    ranks = np.full((len(thresholds), iou.shape[1]), UNMATCHED)
    if iou.size == 0:
        return ranks
    reversed_iou = iou[:, ::-1]
    reversed_ranks = ranks[:, ::-1]
    rows = np.arange(len(thresholds))
    least_iou = np.minimum(thresholds, 1 - 1e-10)
    for rank in np.flatnonzero(iou.max(axis=1) >= least_iou.min()):
        free_iou = np.where(reversed_ranks == UNMATCHED, reversed_iou[rank], -1.0)  # t m
        best = free_iou.argmax(axis=1)
        matched = free_iou[rows, best] >= least_iou
        reversed_ranks[rows[matched], best[matched]] = rank
    return ranks


def recall_at(ranks: Int64[np.ndarray, "t m"], counts: Sequence[int]) -> Float64[np.ndarray, " k"]:
    """Return the recall of one image for each budget of proposals, averaged over the thresholds.

    Over a data set COCO pools the truths of all images: see `average_recall`.

    Example:
        >>> iou = np.array([[0.6, 0.0], [0.9, 0.7]])
        >>> recall_at(greedy_matches(iou, np.array([0.5])), [1, 2]).tolist()
        [0.5, 1.0]
    """
    return np.array([(ranks < count).mean() for count in counts])


def average_recall(
    predicted: Sequence[Bool[np.ndarray, "_ _ _"]],
    true: Sequence[Bool[np.ndarray, "_ _ _"]],
    *,
    limit: int = 100,
    size: str = "all",
) -> float:
    """Return COCO's AR@limit over images.

    The truths of all images are pooled; images without truths do not count.

    Args:
        predicted: proposals of each image (`n h w`), best first.
        true: true masks of each image (`m h w`).
        limit: most proposals of an image (default 100).
        size: a class of `sizes.SIZES`; only its truths count (default "all").

    Raises ValueError if no image has a truth of this size.

    Example:
        >>> mask = np.ones((1, 4, 4), bool)
        >>> average_recall([mask], [mask])
        1.0
    """
    matched, total = 0, 0
    for proposals, truths in zip(predicted, true, strict=True):
        chosen = truths[in_size(masks.areas(truths), size)]
        ranks = greedy_matches(iou_table(proposals[:limit], chosen))
        matched += int((ranks != UNMATCHED).sum())
        total += ranks.size
    if total == 0:
        raise ValueError(f"no true mask in any image, of size {size}; recall needs one or more")
    return matched / total
