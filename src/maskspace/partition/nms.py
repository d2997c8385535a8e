"""Non-maximum suppression on masks: of proposals that overlap too much, keep the best.

Greedy, on exact intersection over union of the masks themselves, not of their boxes.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from maskspace.masks import pairwise_iou


def mask_nms(
    masks: Bool[np.ndarray, "n h w"], scores: Float[np.ndarray, " n"], *, overlap: float = 0.7
) -> Int64[np.ndarray, " m"]:
    """Return the indices of the masks kept, best first: see `iou_nms`."""
    return iou_nms(pairwise_iou(masks, masks), scores, overlap=overlap)


def iou_nms(
    iou: Float64[np.ndarray, "n n"], scores: Float[np.ndarray, " n"], *, overlap: float = 0.7
) -> Int64[np.ndarray, " m"]:
    """Return the indices kept when each has an IoU of at most `overlap` with every better one kept.

    Best first, equal scores in order of index. `overlap` is in [0, 1]; at 1 everything is kept.
    """
    if not 0 <= overlap <= 1:
        raise ValueError(f"overlap is an IoU in [0, 1]; got {overlap}")
    suppressed = np.zeros(len(scores), bool)
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        if not suppressed[index]:
            kept.append(index)
            suppressed |= iou[index] > overlap
    return np.array(kept, np.int64)
