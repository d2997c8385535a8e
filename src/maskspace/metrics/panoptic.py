"""Panoptic quality: how many segments are found, and how well.

A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollár, 2019, arXiv 1801.00868, section 4; unlabelled
pixels as there: left out of a predicted segment's area, and a segment more than half unlabelled is
no false one. There are no crowds. Segments match above an IoU of 1/2, where no two can claim one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from maskspace.metrics.contingency import contingency


@dataclass(frozen=True, kw_only=True)
class PanopticCounts:
    """By class: the IoUs of matched pairs summed, pairs, and segments left alone on each side."""

    iou: Float64[np.ndarray, " c"]
    matched: Int64[np.ndarray, " c"]
    only_predicted: Int64[np.ndarray, " c"]
    only_true: Int64[np.ndarray, " c"]


@dataclass(frozen=True, kw_only=True)
class PanopticQuality:
    """Means over classes: `quality` is, in each class, `segmentation` times `recognition`."""

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

    Classes, from 0 to `classes` - 1, are given by label; without them all segments are of class 0.
    """
    found, held = (np.unique(labels[labels != 0]) for labels in (predicted, true))
    found_class = _classes(found, predicted_classes, classes)
    held_class = _classes(held, true_classes, classes)
    iou = _overlaps(predicted, true, found, held)
    pairs = (iou > 0.5) & (found_class[:, None] == held_class)
    row, column = np.nonzero(pairs)
    alone = ~pairs.any(axis=1) & ~_unlabelled(predicted, true, found)
    sums = np.bincount(held_class[column], weights=iou[row, column], minlength=classes)
    return PanopticCounts(
        iou=sums.astype(np.float64),  # without any pair numpy forgets the type of the weights
        matched=np.bincount(held_class[column], minlength=classes),
        only_predicted=np.bincount(found_class[alone], minlength=classes),
        only_true=np.bincount(held_class[~pairs.any(axis=0)], minlength=classes),
    )


def panoptic_summary(images: Sequence[PanopticCounts]) -> PanopticQuality:
    """Return the qualities of a data set: counts are summed, then divided, then meant over classes.

    Classes without any segment take no part; ValueError if none has one.
    """
    iou = np.sum([image.iou for image in images], axis=0)
    matched = np.sum([image.matched for image in images], axis=0)
    alone = np.sum([image.only_predicted + image.only_true for image in images], axis=0)
    present = np.atleast_1d(matched + alone) > 0
    if not present.any():
        raise ValueError("no segment in any image, predicted or true; quality needs one or more")
    iou, matched, alone = iou[present], matched[present], alone[present]
    return PanopticQuality(
        quality=float((iou / (matched + alone / 2)).mean()),
        segmentation=float((iou / np.maximum(matched, 1)).mean()),
        recognition=float((matched / (matched + alone / 2)).mean()),
    )


def panoptic_quality(predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]) -> float:
    """Return the panoptic quality of one image without classes, in [0, 1]."""
    return panoptic_summary([panoptic_counts(predicted, true)]).quality


def _classes(
    labels: Int[np.ndarray, " n"], given: Mapping[int, int] | None, classes: int
) -> Int64[np.ndarray, " n"]:
    found = [0 if given is None else given.get(label, -1) for label in labels.tolist()]
    for label, one in zip(labels.tolist(), found, strict=True):
        if not 0 <= one < classes:
            raise ValueError(f"segment {label} has no class in 0..{classes - 1}")
    return np.array(found, np.int64)


def _overlaps(
    predicted: Int[np.ndarray, "h w"],
    true: Int[np.ndarray, "h w"],
    found: Int[np.ndarray, " n"],
    held: Int[np.ndarray, " m"],
) -> Float64[np.ndarray, "n m"]:
    """Return the IoU of every pair of segments on the labelled pixels."""
    iou = np.zeros((len(found), len(held)))
    if len(held) == 0:
        return iou
    table = contingency(predicted, true)
    seen = np.unique(predicted[true != 0])[table.predicted]
    union = table.predicted_areas[table.predicted] + table.true_areas[table.true] - table.shared
    segment = seen != 0
    row = np.searchsorted(found, seen[segment])
    iou[row, table.true[segment]] = (table.shared / union)[segment]
    return iou


def _unlabelled(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"], found: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return the predicted segments of which more than half is unlabelled in the truth."""
    rank = np.searchsorted(found, predicted[predicted != 0])
    without = true[predicted != 0] == 0
    areas = np.bincount(rank, minlength=len(found))
    return 2 * np.bincount(rank[without], minlength=len(found)) > areas
