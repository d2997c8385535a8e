"""Measure a model's partitions, one a scale, against every annotator's: what BSDS500 reports.

A tree is asked for numbers of regions; a method with scales of its own (`ScaledModel`) gives those.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np
from jaxtyping import Int, Int32, UInt8

from maskspace.evaluation.asking import Asked, Refusal
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter
from maskspace.metrics.hierarchy import RegionScores, RegionSummary, region_scores, region_summary

Numbers = Mapping[str, Sequence[float]]


def measure_regions(
    model: Segmenter, truth: Truth, *, counts: Sequence[int], asked: Asked
) -> Numbers | None:
    """Return the scores of `RegionScores` as lists, or None: not asked for, or refused.

    A refusal stands in `asked` under `regions`. Of `counts` regions an image gives at most what it
    has. Annotators are the layers of the truth, masks of every size counted.
    """
    if not counts:
        return None
    try:
        found = region_scores(_answered(model, truth, counts, asked), truth.label_maps)
    except Refusal as refusal:
        asked.not_answered["regions"] = str(refusal)
        return None
    return {
        one.name: np.atleast_1d(getattr(found, one.name)).tolist() for one in fields(RegionScores)
    }


def summarize_regions(images: Sequence[Numbers]) -> dict[str, float]:
    """Return ODS, OIS and best of `RegionSummary` over the images of a dataset."""
    found = region_summary(
        [
            RegionScores(
                covered=np.array(one["covered"]),
                best_covered=one["best_covered"][0],
                area=int(one["area"][0]),
                rand=np.array(one["rand"]),
                information=np.array(one["information"]),
            )
            for one in images
        ]
    )
    return {one.name: float(getattr(found, one.name)) for one in fields(RegionSummary)}


def _answered(
    model: Segmenter, truth: Truth, counts: Sequence[int], asked: Asked
) -> Iterator[Int[np.ndarray, "h w"]]:
    """Yield the partitions one after the other: all of a large photo's would not fit."""
    scales = _scales(model, truth.image, counts)
    while (labels := asked.answer(lambda: next(scales, None))) is not None:
        truth.require_size(labels.shape, "partitions into regions")
        yield labels


def _scales(
    model: Segmenter, image: UInt8[np.ndarray, "h w 3"], counts: Sequence[int]
) -> Iterator[Int32[np.ndarray, "h w"]]:
    if "scales" in model.answers:
        yield from model.scales(image, counts)
        return
    tree = model.hierarchy(image)
    for count in counts:
        yield tree.partition(min(count, tree.max_regions))
