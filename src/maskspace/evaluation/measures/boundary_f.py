"""F of the boundaries of partitions, as BSDS500 reports it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple

import numpy as np
from jaxtyping import Float64, Int

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Kept, Measure
from maskspace.evaluation.truth import Truth
from maskspace.metrics.boundary import (
    BoundaryCounts,
    boundary_counts,
    boundary_summaries,
    region_boundaries,
    thinned,
)

#: Each number of `BoundarySummary`, in its order: heading in the tables, and how to read it.
NUMBERS = {
    "ods": (
        "F ODS",
        "F of region boundaries against all annotators', at one scale for all images.",
    ),
    "ois": ("F OIS", "the same at the best scale of each image."),
    "ap": ("AP", "area under precision against recall of the boundaries, over all scales."),
}


def measure_boundary_f(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `boundary_f_ods`, `_ois` and `_ap`; nothing where no regions are asked for.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> (measure,) = measure_boundary_f(config)
        >>> [figure.name for figure in measure.figures]
        ['boundary_f_ods', 'boundary_f_ois', 'boundary_f_ap']
    """
    if not config.region_counts:
        return
    yield Measure(
        name="boundary_f",
        question="regions",
        of_part=_counts,
        of_image=lambda scales, truth: [list(astuple(one)) for one in scales],
        lacks=_unlabelled,
        figures=tuple(
            Figure(
                name=f"boundary_f_{name}", title=heading, explained=told, share=None,
                pool=_pool(name),
            )
            for name, (heading, told) in NUMBERS.items()
        ),
    )  # fmt: skip


def _counts(labels: Int[np.ndarray, "h w"], truth: Truth) -> BoundaryCounts:
    return boundary_counts(thinned(region_boundaries(labels)), truth.boundaries)


def _pool(name: str) -> Callable[[Sequence[Kept], Float64[np.ndarray, "r n"]], list[float]]:
    def pool(images: Sequence[Kept], times: Float64[np.ndarray, "r n"]) -> list[float]:
        counts = [[_of_scale(*scale) for scale in scales] for scales in images]
        return boundary_summaries(counts, times)[:, list(NUMBERS).index(name)].tolist()

    return pool


def _of_scale(
    matched_predicted: int, predicted: int, matched_true: int, true: int
) -> BoundaryCounts:
    return BoundaryCounts(
        matched_predicted=matched_predicted,
        predicted=predicted,
        matched_true=matched_true,
        true=true,
    )


def _unlabelled(truth: Truth) -> str | None:
    """Return why boundaries cannot be told right or wrong: there are pixels of no region."""
    if truth.is_partition:
        return None
    return (
        f"an annotator leaves {truth.unlabelled:.0%} of an image without a region; boundaries need "
        "all of it"
    )
