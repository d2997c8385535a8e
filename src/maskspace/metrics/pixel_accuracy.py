"""Accuracy of class maps, from tallies of pixels by class that add up over images.

J. Long, E. Shelhamer, T. Darrell, 2015, arXiv 1411.4038, section 5: pixel accuracy, its mean over
classes, and mean IoU. A tally has a row a class from 1 on, and three columns: pixels of the class
that are predicted as it, pixels predicted as it, pixels of it. Accuracies are of r sums at once.
"""

import numpy as np
from jaxtyping import Float, Float64, Int, Int64


def class_tallies(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"], *, classes: int
) -> Int64[np.ndarray, "c 3"]:
    """Return the tallies of one image: right, predicted and true pixels of each class from 1.

    Pixels that the truth leaves unlabelled (0) are not counted; a predicted 0 is a miss. Raises
    ValueError for a class beyond `classes`.

    Example:
        >>> true = np.array([[1, 1, 2, 0]])  # the last pixel is unlabelled
        >>> predicted = np.array([[1, 2, 2, 2]])
        >>> class_tallies(predicted, true, classes=2).tolist()
        [[1, 1, 2], [1, 2, 1]]
    """
    highest = max(int(predicted.max(initial=0)), int(true.max(initial=0)))
    lowest = min(int(predicted.min(initial=0)), int(true.min(initial=0)))
    if highest > classes or lowest < 0:
        raise ValueError(f"classes {lowest}..{highest} in a map; they lie in 0..{classes}")
    said, labelled = predicted[true != 0], true[true != 0]
    counted = (labelled[said == labelled], said, labelled)
    columns = [np.bincount(one, minlength=classes + 1)[1:] for one in counted]
    return np.stack(columns, axis=1).astype(np.int64)


def pixel_accuracy(tallies: Float[np.ndarray, "r c 3"]) -> Float64[np.ndarray, " r"]:
    """Return the share in [0, 1] of counted pixels whose class is right.

    Raises ValueError for a table without pixels, as the other two.

    Example:
        >>> tallies = class_tallies(np.array([[1, 2, 2, 2]]), np.array([[1, 1, 2, 2]]), classes=2)
        >>> pixel_accuracy(tallies[None] * 1.0).item()  # three of four pixels are right
        0.75
    """
    _require_pixels(tallies)
    return tallies[..., 0].sum(axis=-1) / tallies[..., 2].sum(axis=-1)


def mean_pixel_accuracy(tallies: Float[np.ndarray, "r c 3"]) -> Float64[np.ndarray, " r"]:
    """Return the mean over the classes of the truth of the share of their pixels that is right.

    Example:
        >>> tallies = class_tallies(np.array([[1, 2, 2, 2]]), np.array([[1, 1, 2, 2]]), classes=2)
        >>> mean_pixel_accuracy(tallies[None] * 1.0).item()  # half of class 1, all of class 2
        0.75
    """
    _require_pixels(tallies)
    return _mean_share(tallies[..., 0], tallies[..., 2])


def mean_class_iou(tallies: Float[np.ndarray, "r c 3"]) -> Float64[np.ndarray, " r"]:
    """Return the mean IoU over the classes that the truth or the prediction holds.

    Example:
        >>> tallies = class_tallies(np.array([[1, 2, 2, 2]]), np.array([[1, 1, 2, 2]]), classes=2)
        >>> round(mean_class_iou(tallies[None] * 1.0).item(), 3)  # the mean of 1/2 and 2/3
        0.583
    """
    _require_pixels(tallies)
    right, predicted, true = (tallies[..., column] for column in range(3))
    return _mean_share(right, predicted + true - right)


def _mean_share(
    part: Float[np.ndarray, "r c"], whole: Float[np.ndarray, "r c"]
) -> Float64[np.ndarray, " r"]:
    """Return the mean of part / whole over the classes that have a whole."""
    share = np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
    return share.sum(axis=-1) / (whole > 0).sum(axis=-1)


def _require_pixels(tallies: Float[np.ndarray, "r c 3"]) -> None:
    if not tallies[..., 2].any(axis=-1).all():
        raise ValueError("no labelled pixel in any image; accuracy needs one or more")
