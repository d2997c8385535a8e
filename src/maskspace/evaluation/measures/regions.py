"""Covering, Rand index and variation of information of partitions, as BSDS500 reports them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

import numpy as np
from jaxtyping import Float64, Int

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Kept, Measure
from maskspace.evaluation.metric_names import COVERING
from maskspace.evaluation.truth import Truth
from maskspace.metrics.contingency import Contingency, contingency
from maskspace.metrics.hierarchy import (
    RegionScores,
    RegionSummary,
    region_summaries,
    scores_of_tables,
)

#: Each number of `RegionSummary`: its heading, and how to read it. Coverings are in the main table.
NUMBERS = {
    "covering_ods": (
        "cover ODS",
        "share of annotators' regions that a partition covers, at one scale for all images.",
    ),
    "covering_ois": ("OIS", "the same at the best scale of each image."),
    "covering_best": ("best", "the same at the best scale of each region."),
    "rand_ods": ("Rand ODS", "Rand index at one scale for all images."),
    "rand_ois": ("OIS", "the same at the best scale of each image."),
    "information_ods": (
        "VI ODS",
        "variation of information, in nats, at one scale for all images.",
    ),
    "information_ois": ("OIS", "the same at the best scale of each image."),
}
#: Coverings, in the order of their curve.
COVERINGS = [name for name in NUMBERS if name.startswith("covering")]


def measure_regions(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield the numbers of `RegionSummary`; nothing where no numbers of regions are asked for.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> (measure,) = measure_regions(config)
        >>> [figure.name for figure in measure.figures][:3]
        ['covering_ods', 'covering_ois', 'covering_best']
    """
    if not config.region_counts:
        return
    yield Measure(
        name="regions",
        question="regions",
        of_part=_tables,
        of_image=_kept,
        lacks=partly_labelled,
        figures=tuple(
            Figure(
                name=name, title=heading, explained=told, share=None, pool=_pool(name),
                main=name in COVERINGS, curve=COVERING if name in COVERINGS else "",
                at=COVERINGS.index(name) if name in COVERINGS else 0,
            )
            for name, (heading, told) in NUMBERS.items()
        ),
    )  # fmt: skip


def partly_labelled(truth: Truth) -> str | None:
    """Return why partitions are not measured against a truth that leaves pixels unlabelled.

    Those count nowhere, so that one region that covers all would have a covering near 1.

    Example:
        >>> mask = np.zeros((1, 4, 4), bool)
        >>> mask[0, :2] = True
        >>> truth = Truth(
        ...     key="a",
        ...     image=np.zeros((4, 4, 3), np.uint8),
        ...     masks=mask,
        ...     ids=(1,),
        ...     too_small=0,
        ...     ignore=np.zeros((4, 4), bool),
        ...     label_maps=(mask[0].astype(np.int64),),
        ... )
        >>> partly_labelled(truth)
        'masks leave 50% of the pixels unlabelled, where one region that covers all would ha...
    """
    if truth.is_partition:
        return None
    return (
        f"masks leave {truth.unlabelled:.0%} of the pixels unlabelled, where one region that "
        "covers all would have a covering near 1"
    )


def _tables(labels: Int[np.ndarray, "h w"], truth: Truth) -> list[Contingency]:
    return [contingency(labels, one) for one in truth.label_maps]


def _kept(scales: Sequence[list[Contingency]], truth: Truth) -> list[list[float]]:
    del truth
    found = scores_of_tables(scales)
    return [
        np.atleast_1d(getattr(found, one.name)).astype(float).tolist()
        for one in fields(RegionScores)
    ]


def _pool(name: str) -> Callable[[Sequence[Kept], Float64[np.ndarray, "r n"]], list[float]]:
    column = [one.name for one in fields(RegionSummary)].index(name)
    return lambda images, times: region_summaries([*map(_scores, images)], times)[
        :, column
    ].tolist()


def _scores(kept: Kept) -> RegionScores:
    by_name = dict(zip((one.name for one in fields(RegionScores)), kept, strict=True))
    return RegionScores(
        covered=np.array(by_name["covered"]),
        best_covered=by_name["best_covered"][0],
        area=int(by_name["area"][0]),
        rand=np.array(by_name["rand"]),
        information=np.array(by_name["information"]),
    )
