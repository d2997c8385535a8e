"""Disjoint instances that are found: TP / (TP + FP + FN), the 2018 Data Science Bowl's measure.

J. C. Caicedo et al., 2019, doi:10.1038/s41592-019-0612-7. A predicted and a true instance match at
a threshold of at least 1/2 if their IoU is above it. Since instances are disjoint, none then has
two matches. The Bowl's score of an image is the mean over ten thresholds, 0.5 to 0.95.

Instances below an area are neither right nor wrong, as COCO treats other sizes. Such a truth need
not be found; such a prediction counts only if it finds a truth that counts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from maskspace.metrics.contingency import contingency
from maskspace.metrics.recall import THRESHOLDS


@dataclass(frozen=True, kw_only=True)
class InstanceCounts:
    """The counts of one image by IoU threshold.

    Args:
        right: pairs that match.
        only_predicted: predicted instances without a match.
        only_true: true instances without a match.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> counts = instance_counts(halves, halves)
        >>> counts.right.tolist() == [2] * 10, counts.score
        (True, 1.0)
    """

    right: Int64[np.ndarray, " t"]
    only_predicted: Int64[np.ndarray, " t"]
    only_true: Int64[np.ndarray, " t"]

    @property
    def all(self) -> Int64[np.ndarray, " t"]:
        """Return TP + FP + FN."""
        return self.right + self.only_predicted + self.only_true

    @property
    def score(self) -> float:
        """Return the mean over thresholds of TP / (TP + FP + FN); 1 where there is nothing."""
        return float(np.where(self.all > 0, self.right / np.maximum(self.all, 1), 1.0).mean())


def instance_counts(
    predicted: Int[np.ndarray, "h w"],
    true: Int[np.ndarray, "h w"],
    *,
    min_area: int = 1,
    thresholds: Float64[np.ndarray, " t"] = THRESHOLDS,
) -> InstanceCounts:
    """Return the counts of one image, whose instances are the labels above 0 of each map.

    Args:
        predicted: predicted label map.
        true: true label map.
        min_area: instances of fewer pixels are ignored (default 1: none).
        thresholds: IoU thresholds, each >= 0.5 (default 0.5, 0.55, ..., 0.95).

    Raises ValueError for a threshold below 0.5, where an instance could match two.

    Example:
        >>> counts = instance_counts(np.array([[1, 1, 1, 0, 2]]), np.array([[1, 1, 1, 1, 0]]))
        >>> counts.right[:6].tolist(), counts.only_predicted[0].item()  # an IoU of 0.75
        ([1, 1, 1, 1, 1, 0], 1)
        >>> instance_counts(np.array([[1, 1, 0, 2]]), np.array([[1, 1, 0, 0]]), min_area=2).score
        1.0
    """
    if thresholds.min() < 0.5:
        raise ValueError(f"instances match above an IoU of 0.5 or more; got {thresholds.min()}")
    table = contingency(predicted, true + 1)  # + 1, since label 0 would not be counted
    is_predicted, is_true = (np.unique(labels) > 0 for labels in (predicted, true))
    union = table.predicted_areas[table.predicted] + table.true_areas[table.true] - table.shared
    are_instances = is_predicted[table.predicted] & is_true[table.true]
    pairs = (table.shared / union > thresholds[:, None]) & are_instances  # t cells
    large_predicted = is_predicted & (table.predicted_areas >= min_area)
    large_true = is_true & (table.true_areas >= min_area)
    right = (pairs & large_true[table.true]).sum(1)
    matched_predicted = (pairs & large_predicted[table.predicted]).sum(1)
    return InstanceCounts(
        right=right,
        only_predicted=large_predicted.sum() - matched_predicted,
        only_true=large_true.sum() - right,
    )


def instance_score(predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]) -> float:
    """Return the Bowl's score of one image, in [0, 1].

    Example:
        >>> instance_score(np.array([[1, 1, 2, 2]]), np.array([[1, 1, 2, 2]]))
        1.0
    """
    return instance_counts(predicted, true).score
