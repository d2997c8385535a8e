"""A model's ranked proposals on one image, and the IoU of each with each true mask."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int

from maskspace.evaluation.asking import Asked
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.recall import greedy_matches
from maskspace.types import Prediction


@dataclass(frozen=True)
class Proposed:
    """The first `len(iou)` proposals; `iou[i, j]` is that of proposal i with truth j.

    Ignored pixels are left out. `most` is the largest number that COCO's recall is asked of.
    """

    proposals: Prediction
    iou: Float64[np.ndarray, "n m"]
    most: int

    @cached_property
    def ranks(self) -> Int[np.ndarray, "t m"]:
        """The rank of the proposal that serves each truth at each of COCO's ten thresholds."""
        return greedy_matches(self.iou[: self.most])

    def first(self, count: int) -> Bool[np.ndarray, "_ h w"]:
        """Return the first masks, dense."""
        height, width = self.proposals.size_hw
        blocks = self.proposals.blocks(pixels=count * height * width)
        return next(blocks, np.zeros((0, height, width), bool))[:count]


def ask_proposals(
    model: Segmenter, truth: Truth, asked: Asked, *, limit: int, most: int
) -> Proposed | None:
    """Return at most `limit` proposals, or None where the model refuses, which `asked` keeps."""
    found = asked.ask("propose", lambda: model.propose(truth.image, limit=limit))
    if found is None:
        return None
    truth.require_size(found.size_hw, "proposes masks")
    seen = ~truth.ignore if truth.ignore.any() else np.True_
    tables = [iou_table(block & seen, truth.masks) for block in found.blocks()]
    iou = np.concatenate([np.zeros((0, len(truth.masks))), *tables])[:limit]
    return Proposed(found, iou, most)
