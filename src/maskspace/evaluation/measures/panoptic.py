"""Panoptic quality of proposals that are painted over each other, of one class."""

from collections.abc import Iterator

from maskspace import masks
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure, quotient
from maskspace.evaluation.ranked_proposals import Proposed, painted
from maskspace.evaluation.truth import Truth
from maskspace.metrics.panoptic import panoptic_counts


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


def overlapping(truth: Truth) -> str | None:
    """Return why the masks of a truth are no segments, or None where they are disjoint.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> overlapping(read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1))
    """
    total, covered = int(masks.areas(truth.masks).sum()), int(truth.masks.any(axis=0).sum())
    return "true masks overlap; segments are disjoint" if total > covered else None
