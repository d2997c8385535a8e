"""Mask AP as COCO defines it: the area under precision against recall, mean over IoU thresholds.

T.-Y. Lin et al., Microsoft COCO, 2014, arXiv 1405.0312; pycocotools' COCOeval with iouType "segm",
without crowds. Precision at a recall is the best precision at that recall or a higher one. It is
read at 101 recalls. For a class of size, truths of other sizes are matched but do not count. A
proposal is ignored where it matches one of them, and where it matches nothing and has another size
itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from maskspace import masks
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.recall import THRESHOLDS, UNMATCHED, greedy_matches
from maskspace.metrics.sizes import in_size

#: COCO's recalls at which precision is read.
RECALLS: Float64[np.ndarray, " r"] = np.linspace(0, 1, 101)


@dataclass(frozen=True, kw_only=True)
class ScoredMatches:
    """The proposals of one image and class, best first, and the number of truths.

    Args:
        scores: score of each proposal.
        right: by IoU threshold, whether a proposal matches a truth.
        counted: by IoU threshold, whether a proposal counts.
        truths: number of truths that count.

    Example:
        >>> mask = np.ones((1, 4, 4), bool)
        >>> scored_matches(mask, np.array([0.9]), mask).truths
        1
    """

    scores: Float64[np.ndarray, " n"]
    right: Bool[np.ndarray, "t n"]
    counted: Bool[np.ndarray, "t n"]
    truths: int


def scored_matches(
    predicted: Bool[np.ndarray, "n h w"],
    scores: Float[np.ndarray, " n"],
    true: Bool[np.ndarray, "m h w"],
    *,
    limit: int = 100,
    size: str = "all",
) -> ScoredMatches:
    """Return what an image adds to the average precision of a class.

    Of equal scores the first is better.

    Args:
        predicted: proposals.
        scores: score of each proposal.
        true: true masks.
        limit: most proposals, COCO's maxDets (default 100).
        size: a class of `sizes.SIZES`; only its truths count (default "all").

    Example:
        >>> masks_ = np.zeros((2, 4, 4), bool)
        >>> masks_[0, :2], masks_[1, 2:] = True, True
        >>> matches = scored_matches(masks_, np.array([0.9, 0.8]), masks_[:1])
        >>> matches.right[0].tolist()  # at an IoU of 0.5: the first is right
        [True, False]
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    chosen = predicted[order]
    is_in_size = in_size(masks.areas(true), size)
    iou = iou_table(chosen, true)
    right = _matched(greedy_matches(iou[:, is_in_size]), len(order))
    counted = right.copy()
    for threshold, row in zip(THRESHOLDS, counted, strict=True):
        other_iou = np.where(row[:, None], 0.0, iou[:, ~is_in_size])
        is_elsewhere = _matched(greedy_matches(other_iou, np.array([threshold])), len(order))[0]
        row |= ~is_elsewhere & in_size(masks.areas(chosen), size)
    return ScoredMatches(
        scores=scores[order].astype(np.float64),
        right=right,
        counted=counted,
        truths=int(is_in_size.sum()),
    )


def precision_at_recall(images: Sequence[ScoredMatches]) -> Float64[np.ndarray, "t r"]:
    """Return the precision of a class over images, by COCO's thresholds and recalls.

    It is 0 at recalls that are not reached. Raises ValueError if no image has a truth.

    Example:
        >>> mask = np.ones((1, 4, 4), bool)
        >>> precision_at_recall([scored_matches(mask, np.array([0.9]), mask)]).shape
        (10, 101)
    """
    truths = sum(image.truths for image in images)
    if truths == 0:
        raise ValueError("no true mask in any image; precision needs one or more")
    order = np.argsort(-np.concatenate([image.scores for image in images]), kind="stable")
    right = np.concatenate([image.right for image in images], axis=1)[:, order]
    counted = np.concatenate([image.counted for image in images], axis=1)[:, order]
    hits, number_counted = np.cumsum(right, axis=1), np.cumsum(counted, axis=1)
    precision = hits / np.maximum(number_counted, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    table = np.zeros((len(THRESHOLDS), len(RECALLS)))
    for row, recall, curve in zip(table, hits / truths, best, strict=True):
        place = np.searchsorted(recall, RECALLS, side="left")
        row[place < len(curve)] = curve[place[place < len(curve)]]
    return table


def average_precision(images: Sequence[ScoredMatches]) -> float:
    """Return COCO's AP of a class over images, in [0, 1].

    Example:
        >>> mask = np.ones((1, 4, 4), bool)
        >>> average_precision([scored_matches(mask, np.array([0.9]), mask)])
        1.0
    """
    return float(precision_at_recall(images).mean())


def mean_average_precision(classes: Sequence[Sequence[ScoredMatches]]) -> float:
    """Return the mean of `average_precision` over the classes that have a truth.

    Raises ValueError if no class has one.

    Example:
        >>> mask, none = np.ones((1, 4, 4), bool), np.zeros((0, 4, 4), bool)
        >>> found = scored_matches(mask, np.array([0.9]), mask)
        >>> missed = scored_matches(none, np.zeros(0), mask)
        >>> mean_average_precision([[found], [missed]])
        0.5
    """
    present = [images for images in classes if any(image.truths for image in images)]
    if not present:
        raise ValueError("no class has a true mask; precision needs one or more")
    return sum(map(average_precision, present)) / len(present)


def _matched(ranks: Int64[np.ndarray, "t m"], number: int) -> Bool[np.ndarray, "t n"]:
    """Return which proposals matched a truth, given for each truth the rank of its proposal."""
    matched = np.zeros((len(ranks), number), bool)
    threshold, truth = np.nonzero(ranks != UNMATCHED)
    matched[threshold, ranks[threshold, truth]] = True
    return matched
