"""Panoptic quality of a model that answers classes: the mean over classes of things and stuff."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from maskspace import masks
from maskspace.evaluation.classified import Classified, segments_of
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.class_map import not_dense, resampled
from maskspace.evaluation.measures.measure import Figure, Kept, Measure
from maskspace.evaluation.measures.panoptic import overlapping
from maskspace.evaluation.truth import Truth
from maskspace.metrics.panoptic import panoptic_counts


def measure_class_panoptic(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `class_panoptic_quality`: counts are summed over images, the mean is over classes.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> (measure,) = measure_class_panoptic(protocol_config("maskspace"))
        >>> rows = [[1, 0.8, 1, 0], [2, 0.9, 1, 2]]  # class, sum of IoUs, matched, unmatched
        >>> round(measure.figures[0].of_dataset([rows]), 3)  # the mean of 0.8 / 1 and 0.9 / 2
        0.625
    """
    del config
    yield Measure(
        name="class_panoptic",
        question="classes",
        of_image=_kept,
        lacks=lambda truth: not_dense(truth) or overlapping(truth),
        figures=(
            Figure(
                name="class_panoptic_quality",
                title="class PQ",
                explained="panoptic quality, a mean over classes of things and stuff, of proposals "
                "painted over each other, the best on top.",
                share=None,
                pool=_quality,
            ),
        ),
    )


def _kept(found: Classified, truth: Truth) -> Kept:
    """Return rows of a class, the sum of IoUs of its pairs, their number, and what stays alone."""
    labels = masks.to_label_map(truth.masks[np.array(truth.classes) > 0])
    true = segments_of(labels, [one for one in truth.classes if one], truth)
    counts = panoptic_counts(
        found.segments,
        true.segments,
        predicted_classes=found.classes,
        true_classes=true.classes,
        classes=len(truth.things) + 1,
    )
    alone = counts.only_predicted + counts.only_true
    present = np.flatnonzero(counts.matched + alone)
    return [
        [k, float(counts.iou[k]), int(counts.matched[k]), int(alone[k])]
        for k in present.tolist()
        if k  # a class that the data set has not
    ]


def _quality(images: Sequence[Kept], times: Float64[np.ndarray, "r n"]) -> list[float]:
    sums = resampled(images, times)
    segments = sums[..., 1] + sums[..., 2] / 2
    quality = np.divide(sums[..., 0], segments, out=np.zeros(segments.shape), where=segments > 0)
    return (quality.sum(axis=-1) / np.maximum((segments > 0).sum(axis=-1), 1)).tolist()
