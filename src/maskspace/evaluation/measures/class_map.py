"""Semantic segmentation of a model that answers classes: pixel accuracy and mean IoU of classes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from maskspace.evaluation.classified import Classified
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Kept, Measure
from maskspace.evaluation.truth import PARTIAL, Truth
from maskspace.metrics.pixel_accuracy import (
    class_tallies,
    mean_class_iou,
    mean_pixel_accuracy,
    pixel_accuracy,
)

WAY = "of the class that shows where proposals are painted over each other, the best on top"

#: Number, its title, how to read it, and how it is taken of pixels by class.
NUMBERS = {
    "pixel_accuracy": (
        "pixel acc",
        f"share of pixels whose class is right, {WAY}.",
        pixel_accuracy,
    ),
    "mean_pixel_accuracy": ("class acc", "the same, a mean over classes.", mean_pixel_accuracy),
    "class_iou": ("class IoU", f"mean IoU over classes, {WAY}.", mean_class_iou),
}


def measure_class_map(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `pixel_accuracy`, `mean_pixel_accuracy` and `class_iou`, of pixels of all images.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> (measure,) = measure_class_map(protocol_config("maskspace"))
        >>> rows = [[1, 6, 6, 8], [2, 2, 4, 2]]  # class, right, predicted and true pixels
        >>> [figure.of_dataset([rows]) for figure in measure.figures][:2]
        [0.8, 0.875]
    """
    del config
    yield Measure(
        name="class_map",
        question="classes",
        of_image=_kept,
        lacks=not_dense,
        figures=tuple(
            Figure(
                name=name,
                title=title,
                explained=explained,
                share=None,
                pool=_pool(metric),
            )
            for name, (title, explained, metric) in NUMBERS.items()
        ),
    )


def not_dense(truth: Truth) -> str | None:
    """Return why class maps are not measured, or None where hardly a pixel is without a class.

    Pixels without a class do not count: where many have none, a prediction may say anything there.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> not_dense(read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1))
        'the data set has no table of classes'
    """
    if truth.class_map is None:
        return "the data set has no table of classes"
    counted = ~truth.ignore
    without = ((truth.class_map == 0) & counted).sum() / max(1, counted.sum())
    if without <= PARTIAL:
        return None
    return f"{without:.0%} of the pixels have no class, where any class would count as right"


def _kept(found: Classified, truth: Truth) -> Kept:
    assert truth.class_map is not None, "a truth without classes is not measured"
    tallies = class_tallies(found.class_map, truth.class_map, classes=len(truth.things))
    return [[k + 1, *tallies[k].tolist()] for k in np.flatnonzero(tallies.any(axis=1)).tolist()]


def _pool(
    metric: Callable[[Float64[np.ndarray, "r c 3"]], Float64[np.ndarray, " r"]],
) -> Callable[[Sequence[Kept], Float64[np.ndarray, "r n"]], list[float]]:
    return lambda images, times: metric(resampled(images, times)).tolist()


def resampled(
    images: Sequence[Kept], times: Float64[np.ndarray, "r n"]
) -> Float64[np.ndarray, "r c k"]:
    """Return sums over the images of each resample of numbers that are kept by class.

    images: of each image rows of a class, from 1, and its k numbers.
    times: how often each resample holds each image.

    Example:
        >>> images = [[[1, 5.0]], [[1, 1.0], [2, 3.0]]]
        >>> resampled(images, np.array([[1.0, 1.0], [0.0, 2.0]])).tolist()
        [[[6.0], [3.0]], [[2.0], [6.0]]]
    """
    classes = max((row[0] for rows in images for row in rows), default=0)
    numbers = max((len(row) - 1 for rows in images for row in rows), default=0)
    table = np.zeros((len(images), classes, numbers))
    for place, rows in enumerate(images):
        for one, *values in rows:
            table[place, one - 1] = values
    return np.einsum("rn,nck->rck", times, table)
