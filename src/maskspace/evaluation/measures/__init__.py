"""What evaluation reports: one table, read by rows, summaries, columns, curves and explanations.

A new metric is a file here, which yields its `Measure`s for a configuration, a line in `MEASURES`,
and a test. Nothing else names it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.average_recall import average_recall
from maskspace.evaluation.measures.best_iou import best_iou
from maskspace.evaluation.measures.boundary_f import boundary_f
from maskspace.evaluation.measures.boundary_iou import boundary_iou
from maskspace.evaluation.measures.click_iou import click_iou
from maskspace.evaluation.measures.dice import dice
from maskspace.evaluation.measures.features import features
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.evaluation.measures.panoptic import panoptic
from maskspace.evaluation.measures.regions import regions

__all__ = ["MEASURES", "Figure", "Measure", "figures_of", "measures_of"]

#: In the order of the columns of tables.
MEASURES: Mapping[str, Callable[[EvaluateConfig], Iterable[Measure]]] = {
    "click_iou": click_iou,
    "dice": dice,
    "boundary_iou": boundary_iou,
    "best_iou": best_iou,
    "average_recall": average_recall,
    "panoptic": panoptic,
    "regions": regions,
    "boundary_f": boundary_f,
    "features": features,
}


def measures_of(config: EvaluateConfig) -> dict[str, Measure]:
    """Return what a configuration measures, by name, in the order of the table."""
    found = [measure for build in MEASURES.values() for measure in build(config)]
    return {measure.name: measure for measure in found}


def figures_of(config: EvaluateConfig) -> dict[str, Figure]:
    """Return the numbers that a configuration reports, by name, in the order of the table."""
    return {
        figure.name: replace(figure, measure=measure.name, question=measure.question)
        for measure in measures_of(config).values()
        for figure in measure.figures
    }
