"""The one table from which region metrics are computed: pixels shared by pairs of regions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64


@dataclass(frozen=True, kw_only=True)
class Contingency:
    """The non-empty cells of the table of two label maps, and its margins, in pixels.

    Regions are numbered from 0 by ascending label. Memory grows with the pixels, not with the
    product of the numbers of regions.

    Args:
        predicted: predicted region of each cell.
        true: true region of each cell.
        shared: pixels of each cell.
        predicted_areas: pixels of each predicted region.
        true_areas: pixels of each true region.

    Example:
        >>> table = contingency(np.array([[1, 1, 2]]), np.array([[1, 2, 2]]))
        >>> table.shared.tolist(), table.pixels
        ([1, 1, 1], 3)
    """

    predicted: Int64[np.ndarray, " p"]
    true: Int64[np.ndarray, " p"]
    shared: Int64[np.ndarray, " p"]
    predicted_areas: Int64[np.ndarray, " n"]
    true_areas: Int64[np.ndarray, " m"]

    @property
    def pixels(self) -> int:
        """Return the number of counted pixels."""
        return int(self.shared.sum())


def contingency(predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]) -> Contingency:
    """Return the table of a predicted and a true label map.

    Pixels without a true label (0) are not counted; a predicted 0 is a region like any other.
    Raises ValueError if no pixel is labelled.

    Example:
        >>> table = contingency(np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 0]]))
        >>> table.predicted_areas.tolist()  # the last pixel is not labelled
        [2, 1]
    """
    counted = true != 0
    if not counted.any():
        raise ValueError("the true label map has no labelled pixel; leave this image out")
    return _tabulated(_numbered(predicted[counted]), _numbered(true[counted]))


def merge_regions(table: Contingency, region: Int[np.ndarray, " n"]) -> Contingency:
    """Return the table after predicted region i, of n, has become a part of `region[i]`.

    Example:
        >>> table = contingency(np.array([[1, 2, 3]]), np.array([[1, 1, 1]]))
        >>> merge_regions(table, np.array([0, 0, 1])).predicted_areas.tolist()
        [2, 1]
    """
    row = _numbered(region)[table.predicted]
    return _tabulated(row, table.true, table.shared)


def _numbered(labels: Int[np.ndarray, " p"]) -> Int64[np.ndarray, " p"]:
    """Return the rank of each label among the labels that occur; small labels need no sort."""
    if labels.min() < 0 or labels.max() > 4 * len(labels):
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return (np.cumsum(np.bincount(labels) > 0) - 1)[labels]


def _tabulated(
    row: Int64[np.ndarray, " p"],
    column: Int64[np.ndarray, " p"],
    shared: Int64[np.ndarray, " p"] | None = None,
) -> Contingency:
    """Return the table of pairs of regions, each of one pixel or of `shared` pixels."""
    width = int(column.max()) + 1
    key = row * width + column
    if (int(row.max()) + 1) * width > 4 * len(key):  # a dense table would need too much memory
        cells, key = np.unique(key, return_inverse=True)
        sums = np.bincount(key, weights=shared)
    else:
        sums = np.bincount(key, weights=shared)
        cells = np.flatnonzero(sums)
        sums = sums[cells]
    pixels = sums.astype(np.int64)  # sums of weights are float64, exact below 2**53
    predicted, true = cells // width, cells % width
    return Contingency(
        predicted=predicted,
        true=true,
        shared=pixels,
        predicted_areas=np.bincount(predicted, weights=pixels).astype(np.int64),
        true_areas=np.bincount(true, weights=pixels).astype(np.int64),
    )
