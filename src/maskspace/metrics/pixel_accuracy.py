"""Accuracy of class maps, from one table of classes that adds up over images.

J. Long, E. Shelhamer, T. Darrell, 2015, arXiv 1411.4038, section 5: pixel accuracy, its mean over
classes, and mean IoU.
"""

import numpy as np
from jaxtyping import Int, Int64


def class_counts(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"], *, classes: int
) -> Int64[np.ndarray, "c c"]:
    """Return the pixels of each true class (row) that are predicted as each class (column).

    Classes are from 1; pixels without a true label (0) are not counted, so the first row is empty.
    A predicted 0 counts as a miss, in the first column. The tables of images add up. Raises
    ValueError for a class above `classes`.

    Example:
        >>> true = np.array([[1, 1, 2, 0]])  # the last pixel is unlabelled
        >>> predicted = np.array([[1, 2, 2, 2]])
        >>> class_counts(predicted, true, classes=2).tolist()
        [[0, 0, 0], [0, 1, 1], [0, 0, 1]]
    """
    highest = max(int(predicted.max(initial=0)), int(true.max(initial=0)))
    lowest = min(int(predicted.min(initial=0)), int(true.min(initial=0)))
    if highest > classes or lowest < 0:
        raise ValueError(f"classes {lowest}..{highest} in a map; they lie in 0..{classes}")
    width = classes + 1
    counted = true != 0
    cells = true[counted].astype(np.int64) * width + predicted[counted]
    return np.bincount(cells, minlength=width * width).reshape(width, width).astype(np.int64)


def pixel_accuracy(counts: Int64[np.ndarray, "c c"]) -> float:
    """Return the share in [0, 1] of counted pixels whose class is right.

    Raises ValueError for a table without pixels, as the other two.

    Example:
        >>> counts = class_counts(np.array([[1, 2, 2, 2]]), np.array([[1, 1, 2, 2]]), classes=2)
        >>> pixel_accuracy(counts)  # three of four pixels are right
        0.75
    """
    return float(np.trace(counts) / _total(counts))


def mean_pixel_accuracy(counts: Int64[np.ndarray, "c c"]) -> float:
    """Return the mean over the true classes of the share of their pixels that is right.

    Example:
        >>> counts = class_counts(np.array([[1, 2, 2, 2]]), np.array([[1, 1, 2, 2]]), classes=2)
        >>> mean_pixel_accuracy(counts)  # half of class 1, all of class 2
        0.75
    """
    _total(counts)
    areas = counts.sum(axis=1)
    present = areas > 0
    return float((np.diag(counts)[present] / areas[present]).mean())


def mean_class_iou(counts: Int64[np.ndarray, "c c"]) -> float:
    """Return the mean IoU over the classes that the truth or the prediction has.

    Example:
        >>> counts = class_counts(np.array([[1, 2, 2, 2]]), np.array([[1, 1, 2, 2]]), classes=2)
        >>> round(mean_class_iou(counts), 3)  # the mean of 1/2 and 2/3
        0.583
    """
    _total(counts)
    union = (counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts))[1:]
    present = union > 0
    return float((np.diag(counts)[1:][present] / union[present]).mean())


def _total(counts: Int64[np.ndarray, "c c"]) -> int:
    total = int(counts.sum())
    if total == 0:
        raise ValueError("no labelled pixel in any image; accuracy needs one or more")
    return total
