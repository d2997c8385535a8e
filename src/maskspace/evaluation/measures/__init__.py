"""What evaluation reports: one table, read by rows, summaries, columns, curves and explanations.

A new metric is a file here, which yields its `Measure`s for a configuration, a line in `MEASURES`,
and a test. Nothing else names it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.after_click import measure_after_click
from maskspace.evaluation.measures.average_recall import measure_average_recall
from maskspace.evaluation.measures.best_iou import measure_best_iou
from maskspace.evaluation.measures.boundary_f import measure_boundary_f
from maskspace.evaluation.measures.class_map import measure_class_map
from maskspace.evaluation.measures.class_panoptic import measure_class_panoptic
from maskspace.evaluation.measures.click_iou import measure_click_iou
from maskspace.evaluation.measures.features import measure_features
from maskspace.evaluation.measures.instances import measure_instances
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.evaluation.measures.panoptic import measure_panoptic_quality
from maskspace.evaluation.measures.regions import measure_regions

__all__ = ["MEASURES", "Figure", "Measure", "figures_of", "measures_of"]

#: In the order of the columns of tables.
MEASURES: Mapping[str, Callable[[EvaluateConfig], Iterable[Measure]]] = {
    "click_iou": measure_click_iou,
    "after_click": measure_after_click,
    "best_iou": measure_best_iou,
    "average_recall": measure_average_recall,
    "panoptic": measure_panoptic_quality,
    "instances": measure_instances,
    "class_panoptic": measure_class_panoptic,
    "class_map": measure_class_map,
    "regions": measure_regions,
    "boundary_f": measure_boundary_f,
    "features": measure_features,
}


def measures_of(config: EvaluateConfig) -> dict[str, Measure]:
    """Return what a configuration measures, by name, in the order of the table.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> list(measures_of(config))[:2]
        ['miou_at_1_center', 'miou_at_1_center_049']
    """
    found = [measure for build in MEASURES.values() for measure in build(config)]
    return {measure.name: measure for measure in found}


def figures_of(config: EvaluateConfig) -> dict[str, Figure]:
    """Return the numbers that a configuration reports, by name, in the order of the table.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> figures_of(config)["mean_best_iou_10"].title
        'best@10'
    """
    return {
        figure.name: replace(figure, measure=measure.name, question=measure.question)
        for measure in measures_of(config).values()
        for figure in measure.figures
    }
