"""Panoptic quality: how many segments are found, and how well.

A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollár, 2019, arXiv 1801.00868, section 4. Unlabelled
pixels are treated as there: they do not count in the area of a predicted segment, and a predicted
segment of which more than half is unlabelled is not a false positive. There are no crowds. Segments
match if their IoU is above 1/2; then no segment can have two matches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from maskspace.metrics.contingency import contingency


@dataclass(frozen=True, kw_only=True)
class PanopticCounts:
    """The counts of one image by class.

    Args:
        iou: sum of the IoUs of matched pairs.
        matched: number of matched pairs.
        only_predicted: predicted segments without a match.
        only_true: true segments without a match.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> panoptic_counts(halves, halves).matched.tolist()
        [2]
    """

    iou: Float64[np.ndarray, " c"]
    matched: Int64[np.ndarray, " c"]
    only_predicted: Int64[np.ndarray, " c"]
    only_true: Int64[np.ndarray, " c"]


@dataclass(frozen=True, kw_only=True)
class PanopticQuality:
    """Means over classes; in each class `quality` is `segmentation` times `recognition`.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> panoptic_summary([panoptic_counts(halves, halves)])
        PanopticQuality(quality=1.0, segmentation=1.0, recognition=1.0)
    """

    quality: float
    segmentation: float
    recognition: float


def panoptic_counts(
    predicted: Int[np.ndarray, "h w"],
    true: Int[np.ndarray, "h w"],
    *,
    predicted_classes: Mapping[int, int] | None = None,
    true_classes: Mapping[int, int] | None = None,
    classes: int = 1,
) -> PanopticCounts:
    """Return the counts of one image, whose segments are the labels above 0 of each map.

    Args:
        predicted: predicted label map.
        true: true label map.
        predicted_classes: class of each predicted label, in 0..`classes` - 1 (default None: all 0).
        true_classes: class of each true label (default None: all 0).
        classes: number of classes (default 1).

    Raises ValueError for a label without a class in that range.

    Example:
        >>> counts = panoptic_counts(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 1, 2]]))
        >>> counts.matched.tolist(), counts.only_true.tolist(), counts.iou.tolist()
        ([1], [1], [0.75])
    """
    predicted_ids, true_ids = (np.unique(labels[labels != 0]) for labels in (predicted, true))
    predicted_class = _classes(predicted_ids, predicted_classes, classes)
    true_class = _classes(true_ids, true_classes, classes)
    iou = _overlaps(predicted, true, predicted_ids, true_ids)
    pairs = (iou > 0.5) & (predicted_class[:, None] == true_class)
    row, column = np.nonzero(pairs)
    unmatched = ~pairs.any(axis=1) & ~_unlabelled(predicted, true, predicted_ids)
    sums = np.bincount(true_class[column], weights=iou[row, column], minlength=classes)
    return PanopticCounts(
        iou=sums.astype(np.float64),  # numpy returns integers where there is no pair
        matched=np.bincount(true_class[column], minlength=classes),
        only_predicted=np.bincount(predicted_class[unmatched], minlength=classes),
        only_true=np.bincount(true_class[~pairs.any(axis=0)], minlength=classes),
    )


def panoptic_summary(images: Sequence[PanopticCounts]) -> PanopticQuality:
    """Return the qualities of a data set: counts are summed over images, means are over classes.

    Classes without a segment are left out. Raises ValueError if no class has a segment.

    Example:
        >>> counts = panoptic_counts(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 1, 2]]))
        >>> quality = panoptic_summary([counts])
        >>> round(quality.segmentation, 3), round(quality.recognition, 3)
        (0.75, 0.667)
    """
    iou = np.sum([image.iou for image in images], axis=0)
    matched = np.sum([image.matched for image in images], axis=0)
    unmatched = np.sum([image.only_predicted + image.only_true for image in images], axis=0)
    present = np.atleast_1d(matched + unmatched) > 0
    if not present.any():
        raise ValueError("no segment in any image, predicted or true; quality needs one or more")
    iou, matched, unmatched = iou[present], matched[present], unmatched[present]
    return PanopticQuality(
        quality=float((iou / (matched + unmatched / 2)).mean()),
        segmentation=float((iou / np.maximum(matched, 1)).mean()),
        recognition=float((matched / (matched + unmatched / 2)).mean()),
    )


def panoptic_quality(predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]) -> float:
    """Return the panoptic quality of one image without classes, in [0, 1].

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> panoptic_quality(halves, halves)
        1.0
    """
    return panoptic_summary([panoptic_counts(predicted, true)]).quality


def _classes(
    labels: Int[np.ndarray, " n"], given: Mapping[int, int] | None, classes: int
) -> Int64[np.ndarray, " n"]:
    class_of = [0 if given is None else given.get(label, -1) for label in labels.tolist()]
    for label, number in zip(labels.tolist(), class_of, strict=True):
        if not 0 <= number < classes:
            raise ValueError(f"segment {label} has no class in 0..{classes - 1}")
    return np.array(class_of, np.int64)


def _overlaps(
    predicted: Int[np.ndarray, "h w"],
    true: Int[np.ndarray, "h w"],
    predicted_ids: Int[np.ndarray, " n"],
    true_ids: Int[np.ndarray, " m"],
) -> Float64[np.ndarray, "n m"]:
    """Return the IoU of every pair of segments on the labelled pixels."""
    iou = np.zeros((len(predicted_ids), len(true_ids)))
    if len(true_ids) == 0:
        return iou
    table = contingency(predicted, true)
    predicted_label = np.unique(predicted[true != 0])[table.predicted]
    union = table.predicted_areas[table.predicted] + table.true_areas[table.true] - table.shared
    is_segment = predicted_label != 0
    row = np.searchsorted(predicted_ids, predicted_label[is_segment])
    iou[row, table.true[is_segment]] = (table.shared / union)[is_segment]
    return iou


def _unlabelled(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"], ids: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return the predicted segments of which more than half is unlabelled in the truth."""
    rank = np.searchsorted(ids, predicted[predicted != 0])
    is_unlabelled = true[predicted != 0] == 0
    areas = np.bincount(rank, minlength=len(ids))
    return 2 * np.bincount(rank[is_unlabelled], minlength=len(ids)) > areas
