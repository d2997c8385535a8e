"""Disjoint instances that are found, TP / (TP + FP + FN), where the truth is disjoint instances."""

from collections.abc import Iterator

import numpy as np

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Kept, Measure
from maskspace.evaluation.measures.panoptic import overlapping
from maskspace.evaluation.ranked_proposals import Proposed, painted
from maskspace.evaluation.truth import Truth
from maskspace.metrics.instances import instance_counts


def measure_instances(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `instances_50`, pooled over images, and `instance_score`, a mean over images.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> (measure,) = measure_instances(protocol_config("maskspace"))
        >>> [figure.of_dataset([[1, 1, 1.0], [1, 3, 0.2]]) for figure in measure.figures]
        [0.5, 0.6]
    """
    most = config.proposal_limit

    def of_image(proposed: Proposed, truth: Truth) -> Kept:
        true = np.where(truth.ignore, 0, truth.label_maps[0])
        found = instance_counts(
            painted(proposed.first(most) & ~truth.ignore), true, min_area=config.min_area
        )
        return [int(found.right[0]), int(found.all[0]), found.score]

    def lacks(truth: Truth) -> str | None:
        if len(truth.masks) > most:
            return f"more true masks than the {most} proposals that are asked; give --proposals"
        return overlapping(truth)

    way = (
        f"of the first {most} proposals painted over each other, the best on top; instances of "
        f"fewer than {config.min_area} pixels are ignored, in truth and prediction"
    )
    yield Measure(
        name="instances",
        question="propose",
        of_image=of_image,
        lacks=lacks,
        figures=(
            Figure(
                name="instances_50",
                title="found@.5",
                explained=f"TP / (TP + FP + FN) at an IoU above 0.5, pooled over images, {way}.",
                share=lambda kept: ([float(kept[0])], float(kept[1])),
            ),
            Figure(
                name="instance_score",
                title="found",
                explained="the 2018 Data Science Bowl's score: mean over images of the mean over "
                f"IoUs of 0.5 to 0.95 of TP / (TP + FP + FN), {way}.",
                share=lambda kept: ([float(kept[2])], 1.0),
            ),
        ),
    )
