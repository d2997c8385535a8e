"""Segmentation covering: how well the best predicted region covers each true one.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, 2011, doi:10.1109/TPAMI.2010.161, section 2.3.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int, Int64

from maskspace.metrics.contingency import Contingency, contingency


def covering(predicted: Int[np.ndarray, "h w"], true: Sequence[Int[np.ndarray, "h w"]]) -> float:
    """Return the mean best IoU of the true regions of all annotators, weighted by area, in (0, 1].

    The regions of several annotators are pooled, as the BSDS500 benchmark does. Raises ValueError
    without a true map.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> covering(halves, [halves])
        1.0
        >>> covering(np.ones((1, 4), int), [halves])
        0.5
    """
    if not true:
        raise ValueError("no true label map given; covering needs one or more")
    parts = [best_overlaps(predicted, one) for one in true]
    area = np.concatenate([areas for areas, _ in parts])
    best = np.concatenate([overlaps for _, overlaps in parts])
    return float((area * best).sum() / area.sum())


def best_overlaps(
    predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]
) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return the area of each true region in pixels, and its best IoU with a predicted region.

    Pixels without a true label (0) are not counted.

    Example:
        >>> areas, ious = best_overlaps(np.array([[1, 1, 1, 2]]), np.array([[1, 1, 2, 2]]))
        >>> areas.tolist(), ious.round(3).tolist()
        ([2, 2], [0.667, 0.5])
    """
    table = contingency(predicted, true)
    return table.true_areas, overlaps_of(table)


def overlaps_of(table: Contingency) -> Float64[np.ndarray, " n"]:
    """Return the best IoU of each true region with a predicted one.

    Example:
        >>> table = contingency(np.array([[1, 1, 1, 2]]), np.array([[1, 1, 2, 2]]))
        >>> overlaps_of(table).round(3).tolist()
        [0.667, 0.5]
    """
    union = table.predicted_areas[table.predicted] + table.true_areas[table.true] - table.shared
    best = np.zeros(len(table.true_areas))
    np.maximum.at(best, table.true, table.shared / union)
    return best
