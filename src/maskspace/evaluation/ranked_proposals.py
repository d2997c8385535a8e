"""A model's ranked proposals on one image, and the IoU of each with each true mask."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from maskspace import masks
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.recall import greedy_matches
from maskspace.types import Prediction

#: Share of a mask that has to show.
VISIBLE = 0.5


@dataclass(frozen=True)
class Proposed:
    """The proposals of a model on one image, best first.

    proposals: the proposals; the first `len(iou)` count.
    iou: IoU of each of them with each true mask, without ignored pixels.
    most: the largest number of proposals of COCO's recall.

    Example:
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0, :2], masks[1, 2:] = True, True
        >>> proposals = Prediction(masks, np.array([0.9, 0.8], np.float32))
        >>> proposed = Proposed(proposals, iou_table(masks, masks[:1]), most=2)
        >>> proposed.iou.tolist(), proposed.first(1).sum().item()
        ([[1.0], [0.0]], 8)
    """

    proposals: Prediction
    iou: Float64[np.ndarray, "n m"]
    most: int

    @cached_property
    def ranks(self) -> Int[np.ndarray, "t m"]:
        """The rank of the proposal matched to each truth, at each of COCO's ten thresholds."""
        return greedy_matches(self.iou[: self.most])

    def first(self, count: int) -> Bool[np.ndarray, "_ h w"]:
        """Return the first masks, dense."""
        height, width = self.proposals.size_hw
        blocks = self.proposals.blocks(pixels=count * height * width)
        return next(blocks, np.zeros((0, height, width), bool))[:count]


def ask_proposals(
    model: Segmenter, truth: Truth, asked: Asked, *, limit: int, most: int
) -> Proposed | None:
    """Return the model's proposals on an image, None if it refuses.

    Args:
        model: the model.
        truth: the image and its masks.
        asked: takes the time of the answer, and the refusal.
        limit: proposals at most.
        most: the largest number of proposals of COCO's recall.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> class Whole(Segmenter):  # proposes the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose"})
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        >>> proposed = ask_proposals(Whole(), truth, Asked(), limit=10, most=10)
        >>> proposed.iou.shape == (1, len(truth.masks))
        True
    """
    prediction = asked.ask("propose", lambda: model.propose(truth.image, limit=limit))
    if prediction is None:
        return None
    truth.require_size(prediction.size_hw, "proposes masks")
    counted = ~truth.ignore if truth.ignore.any() else np.True_
    tables = [iou_table(block & counted, truth.masks) for block in prediction.blocks()]
    iou = np.concatenate([np.zeros((0, len(truth.masks))), *tables])[:limit]
    return Proposed(prediction, iou, most)


def painted(ranked: Bool[np.ndarray, "n h w"]) -> Int64[np.ndarray, "h w"]:
    """Return the label map of masks, best first; 0 where no mask shows.

    As in A. Kirillov et al., 2019, arXiv 1801.00868: the best mask shows at a pixel, and a mask of
    which less than half shows is dropped.

    Example:
        >>> painted(np.array([[[True, True, False]], [[False, True, True]], [[True, True, True]]]))
        array([[1, 1, 2]])
    """
    labels = masks.to_label_map(ranked, priority="first")
    visible_pixels: Float64[np.ndarray, " n"] = np.bincount(
        labels.ravel(), minlength=len(ranked) + 1
    )[1:]
    is_visible = visible_pixels >= VISIBLE * np.maximum(masks.areas(ranked), 1)
    return np.where(np.concatenate([[False], is_visible])[labels], labels, 0)
