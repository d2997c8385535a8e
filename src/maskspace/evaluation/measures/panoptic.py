"""Panoptic quality of proposals that are painted over each other, of one class.

As A. Kirillov et al., 2019, arXiv 1801.00868, make segments of masks: the best one shows at a
pixel, and a mask of which less than half shows is dropped.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64

from maskspace import masks
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure, quotient
from maskspace.evaluation.proposed import Proposed
from maskspace.evaluation.truth import Truth
from maskspace.metrics.panoptic import panoptic_counts

#: Share of a mask that has to show.
VISIBLE = 0.5


def measure_panoptic_quality(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `panoptic_quality` of the first 50 proposals, or the protocol's largest number.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> (measure,) = measure_panoptic_quality(config)
        >>> measure.figures[0].of_dataset([[0.8, 1.0], [0.0, 1.0]])  # sums of IoUs over the counts
        0.4
    """
    count = config.headline_count

    def of_image(proposed: Proposed, truth: Truth) -> list[float]:
        true = masks.to_label_map(truth.masks)
        found = panoptic_counts(painted(proposed.first(count) & ~truth.ignore), true)
        alone = int(found.only_predicted.sum() + found.only_true.sum())
        return [float(found.iou.sum()), float(found.matched.sum()) + alone / 2]

    yield Measure(
        name="panoptic_quality",
        question="propose",
        of_image=of_image,
        lacks=overlapping,
        figures=(
            Figure(
                name="panoptic_quality",
                title="PQ",
                explained=f"panoptic quality, of one class, of the first {count} proposals painted "
                "over each other, the best on top: IoUs of segments that match above 1/2, over "
                "matches and half of what stays alone.",
                share=quotient,
            ),
        ),
    )


def painted(ranked: Bool[np.ndarray, "n h w"]) -> Int64[np.ndarray, "h w"]:
    """Return the label map of masks, best first; 0 where nothing shows.

    Example:
        >>> painted(np.array([[[True, True, False]], [[False, True, True]], [[True, True, True]]]))
        array([[1, 1, 2]])
    """
    labels = masks.to_label_map(ranked, priority="first")
    shown: Float64[np.ndarray, " n"] = np.bincount(labels.ravel(), minlength=len(ranked) + 1)[1:]
    kept = shown >= VISIBLE * np.maximum(masks.areas(ranked), 1)
    return np.where(np.concatenate([[False], kept])[labels], labels, 0)


def overlapping(truth: Truth) -> str | None:
    """Return why the masks of a truth are no segments, or None where they are disjoint.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> overlapping(read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1))
    """
    total, covered = int(masks.areas(truth.masks).sum()), int(truth.masks.any(axis=0).sum())
    return "true masks overlap; segments are disjoint" if total > covered else None
