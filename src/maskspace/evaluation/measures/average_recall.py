"""COCO's average recall of the first N proposals, pooled over images as COCO pools."""

from collections.abc import Iterator

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure, quotient
from maskspace.evaluation.ranked_proposals import Proposed
from maskspace.evaluation.truth import Truth
from maskspace.metrics.recall import THRESHOLDS

#: Numbers of proposals that have a column in the tables.
SHOWN = (10, 100)


def measure_average_recall(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `ar_N`: pairs of a mask and an IoU that are served, over all pairs.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> [measure.name for measure in measure_average_recall(config)]
        ['ar_1', 'ar_10', 'ar_100']
    """
    for count in config.recall_counts:

        def of_image(proposed: Proposed, truth: Truth, *, count: int = count) -> list[int]:
            served = int((proposed.ranks < count).sum())
            return [served, len(truth.masks) * len(THRESHOLDS)]

        yield Measure(
            name=f"ar_{count}",
            question="propose",
            of_image=of_image,
            figures=(
                Figure(
                    name=f"ar_{count}",
                    title=f"AR@{count}" if count in SHOWN else "",
                    explained=f"COCO's average recall of the first {count} proposals, each serving "
                    "one mask only.",
                    share=quotient,
                    curve="ar",
                    at=count,
                ),
            ),
        )
