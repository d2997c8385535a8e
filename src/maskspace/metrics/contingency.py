"""The one table the region metrics are computed from: pixels shared by pairs of regions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64


@dataclass(frozen=True, kw_only=True)
class Contingency:
    """The non-empty cells of the table of two label maps, and its margins, in pixels.

    Cell i counts the `shared[i]` pixels of predicted region `predicted[i]` and true region
    `true[i]`, regions numbered from 0 by ascending label. Memory grows with the pixels, never with
    the product of the numbers of regions.
    """

    predicted: Int64[np.ndarray, " p"]
    true: Int64[np.ndarray, " p"]
    shared: Int64[np.ndarray, " p"]
    predicted_areas: Int64[np.ndarray, " n"]
    true_areas: Int64[np.ndarray, " m"]

    @property
    def pixels(self) -> int:
        """Return the number of pixels counted."""
        return int(self.shared.sum())


def contingency(predicted: Int[np.ndarray, "h w"], true: Int[np.ndarray, "h w"]) -> Contingency:
    """Return the table of a predicted and a true label map.

    Pixels that the truth leaves unlabelled (0) are not counted; a predicted 0 is a region like any
    other. Raises ValueError if no pixel is labelled.
    """
    counted = true != 0
    if not counted.any():
        raise ValueError("the true label map has no labelled pixel; leave this image out")
    _, row = np.unique(predicted[counted], return_inverse=True)
    _, column = np.unique(true[counted], return_inverse=True)
    width = int(column.max()) + 1
    cells, shared = np.unique(row.astype(np.int64) * width + column, return_counts=True)
    return Contingency(
        predicted=cells // width,
        true=cells % width,
        shared=shared.astype(np.int64),
        predicted_areas=np.bincount(row).astype(np.int64),
        true_areas=np.bincount(column).astype(np.int64),
    )
