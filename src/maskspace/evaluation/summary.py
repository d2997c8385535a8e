"""From rows of single images to the numbers of a dataset, the same for any order of the rows."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from maskspace.evaluation.click_summary import click_metrics
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.findings import Metrics
from maskspace.evaluation.intervals import intervals
from maskspace.evaluation.left_out import left_out_of, listed
from maskspace.evaluation.measures import figures_of, measures_of
from maskspace.evaluation.metric_names import CURVE
from maskspace.evaluation.rows import Row
from maskspace.metrics.correlation import pearson, spearman
from maskspace.metrics.sizes import SIZES, in_size


def summarize(
    rows: Sequence[Row], *, config: EvaluateConfig, ranking: Mapping[str, str]
) -> dict[str, Metrics]:
    """Return the metrics of each model on one dataset; every number is finite.

    `ranking` says of each model what its proposals are ranked by. Means are over all true masks, as
    COCO pools them. What a model cannot answer is absent and stands under `not_answered` with the
    reason, what the data have not enough for under `lacking`, and images that were left out under
    `left_out`. Raises ValueError if no image has a mask to measure.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> rows = [Row(
        ...     dataset="d", model="student", key="a", masks=2, masks_too_small=0, ids=[1, 2],
        ...     areas=[9, 9], kept={"dice_at_1": [0.5, 1.0]})]
        >>> summarize(rows, config=config, ranking={"student": "score"})["student"]["dice_at_1"]
        0.75
    """
    models = dict.fromkeys(row.model for row in rows)
    return {
        name: _summarize_model([row for row in rows if row.model == name], config, ranking[name])
        for name in models
    }


def _summarize_model(rows: Sequence[Row], config: EvaluateConfig, ranking: str) -> Metrics:
    measured = sorted((row for row in rows if row.masks), key=lambda row: row.key)
    if not measured:
        raise ValueError(
            f"{rows[0].dataset}: none of {len(rows)} images has a mask of at least "
            f"{config.min_area} pixels; lower min_area or give other images{_unreadable(rows)}"
        )
    left_out = left_out_of(rows)
    not_answered = {question: why for row in measured for question, why in row.not_answered.items()}
    metrics: Metrics = {
        "protocol": config.described,
        "images": len(measured),
        "images_without_truth": len(rows) - len(measured) - len(left_out),
        "images_left_out": len(left_out),
        "masks": sum(row.masks for row in measured),
        "masks_too_small": sum(row.masks_too_small for row in rows),
        "annotations_left_out": sum(row.annotations_left_out for row in rows),
        **click_metrics(measured, config.interactive, not_answered),
        **_figures(measured, config),
        "mean_best_iou_by_size": _by_size(measured, config),
        "interval_95": intervals(measured, figures_of(config), seed=config.interactive.seed),
    }
    spread = metrics.get("feature_std")
    if isinstance(spread, float):
        metrics["collapsed"] = spread < config.collapse_std
    if "propose" not in not_answered:
        metrics["ranking"] = ranking
        metrics |= _correlations(measured, config, not_answered)
    return {
        **metrics,
        "lacking": _lacking(measured, config),
        "not_answered": not_answered,
        "left_out": left_out,
    }


def _unreadable(rows: Sequence[Row]) -> str:
    left_out = left_out_of(rows)
    return f"; {len(left_out)} cannot be measured: {listed(left_out)}" if left_out else ""


def _figures(rows: Sequence[Row], config: EvaluateConfig) -> Metrics:
    """Return the number of every figure whose measure every image has."""
    found: Metrics = {}
    for measure in measures_of(config).values():
        kept = [row.kept[measure.name] for row in rows if measure.name in row.kept]
        if len(kept) == len(rows):
            numbers = {figure.name: figure.of_dataset(kept) for figure in measure.figures}
            found |= {name: number for name, number in numbers.items() if number is not None}
    return found


def _lacking(rows: Sequence[Row], config: EvaluateConfig) -> dict[str, str]:
    """Return why a measure is not reported: what the truth of the first such image lacks."""
    found: dict[str, str] = {}
    for name in measures_of(config):
        reasons = [row.lacks[name] for row in rows if name in row.lacks]
        if reasons:
            found[name] = f"{len(reasons)} of {len(rows)} images: {reasons[0]}"
    return found


def _by_size(rows: Sequence[Row], config: EvaluateConfig) -> dict[str, dict[str, float]]:
    """Return for each budget the mean over the masks of each of COCO's sizes that there are."""
    areas = np.array([area for row in rows for area in row.areas], np.int64)
    sizes = {size: np.flatnonzero(in_size(areas, size)) for size in SIZES}
    found = {}
    for count in config.proposal_counts:
        name = f"{CURVE}_{count}"
        if any(name not in row.kept for row in rows):
            continue
        best = [value for row in rows for value in row.kept[name]]
        found[str(count)] = {
            size: _mean(best[index] for index in of_size)
            for size, of_size in sizes.items()
            if len(of_size)
        }
    return found


def zero_shot_against_click(
    rows: Sequence[Row], count: int, run: str
) -> tuple[list[float], list[float]] | None:
    """Return each image's IoU after one click of a run, and mean best IoU of `count` proposals.

    None where the model does not answer both.

    Example:
        >>> row = Row(
        ...     dataset="d", model="student", key="a", masks=2, masks_too_small=0,
        ...     click_ious={"center": [[0.5], [1.0]]}, kept={"mean_best_iou_10": [0.4, 0.8]})
        >>> clicked, proposed = zero_shot_against_click([row], 10, "center")
        >>> [round(value, 3) for value in (*clicked, *proposed)]
        [0.75, 0.6]
    """
    seen = [row for row in rows if row.masks]
    name = f"{CURVE}_{count}"
    if any(name not in row.kept or run not in row.click_ious for row in seen):
        return None
    return (
        [_mean(row.first_ious(run)) for row in seen],
        [_mean(row.kept[name]) for row in seen],
    )


def _correlations(
    rows: Sequence[Row], config: EvaluateConfig, not_answered: dict[str, str]
) -> Metrics:
    run = config.interactive.headline
    if run is None:
        return {}
    pairs = zero_shot_against_click(rows, config.headline_count, run.name)
    if pairs is None:
        return {}
    clicked, proposed = (np.array(values) for values in pairs)
    values = {"pearson": pearson(clicked, proposed), "spearman": spearman(clicked, proposed)}
    for name, value in values.items():
        if value is None:
            not_answered[name] = "undefined: one of the two does not vary over the images"
    return {f"zero_shot_click_{name}": v for name, v in values.items() if v is not None}


def collapse_lines(metrics: Mapping[str, Mapping[str, Metrics]]) -> list[str]:
    """Return one line for each model whose features are the same at every pixel.

    Example:
        >>> collapse_lines({"d": {"student": {"collapsed": False, "feature_std": 0.2}}})
        []
        >>> len(collapse_lines({"d": {"student": {"collapsed": True, "feature_std": 0.0}}}))
        1
    """
    return [
        f"{model}: the output is constant (std {values['feature_std']:.2g} on {dataset}), the "
        "failure mode of embedding objectives; its partitions mean nothing"
        for dataset, models in metrics.items()
        for model, values in models.items()
        if values.get("collapsed")
    ]


def _mean(values: Iterable[float]) -> float:
    """Return the mean, exact to the last bit whatever the order."""
    values = list(values)
    return math.fsum(values) / len(values)
