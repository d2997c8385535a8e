"""Rows of single images -> the numbers of a dataset, the same whatever order the rows came in."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from maskspace.evaluation.click_summary import click_metrics
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.findings import Metrics
from maskspace.evaluation.intervals import intervals
from maskspace.evaluation.left_out import left_out_of, listed
from maskspace.evaluation.regions import summarize_regions
from maskspace.evaluation.rows import Row
from maskspace.evaluation.zero_shot import pooled_recall
from maskspace.metrics.correlation import pearson, spearman
from maskspace.metrics.sizes import SIZES, in_size


def summarize(
    rows: Sequence[Row], *, config: EvaluateConfig, ranking: Mapping[str, str]
) -> dict[str, Metrics]:
    """Return the metrics of each model on one dataset; every number is finite.

    `ranking` says of each model what its proposals are ranked by. Means are over all true masks, as
    COCO pools them. What a model cannot answer is absent and
    stands under `not_answered` with the reason, and images that were left out with theirs under
    `left_out`. Raises ValueError if no image has a mask to measure.
    """
    models = dict.fromkeys(row.model for row in rows)
    return {
        name: _summarize_model([row for row in rows if row.model == name], config, ranking[name])
        for name in models
    }


def _summarize_model(rows: Sequence[Row], config: EvaluateConfig, ranking: str) -> Metrics:
    seen = sorted((row for row in rows if row.masks), key=lambda row: row.key)
    if not seen:
        raise ValueError(
            f"{rows[0].dataset}: none of {len(rows)} images has a mask of at least "
            f"{config.min_area} pixels; lower min_area or give other images{_unreadable(rows)}"
        )
    left_out = left_out_of(rows)
    not_answered = {question: why for row in seen for question, why in row.not_answered.items()}
    metrics: Metrics = {
        "protocol": config.described,
        "images": len(seen),
        "images_without_truth": len(rows) - len(seen) - len(left_out),
        "images_left_out": len(left_out),
        "masks": sum(row.masks for row in seen),
        "masks_too_small": sum(row.masks_too_small for row in rows),
        **_proposal_metrics(seen, not_answered),
        **_region_metrics(seen),
        **click_metrics(seen, config.interactive, not_answered),
        **_feature_metrics(seen, not_answered, config.collapse_std),
        "interval_95": intervals(seen, seed=config.interactive.seed),
    }
    if "propose" not in not_answered:
        metrics["ranking"] = ranking
        metrics |= _correlations(seen, config, not_answered)
    return {**metrics, "not_answered": not_answered, "left_out": left_out}


def _unreadable(rows: Sequence[Row]) -> str:
    left_out = left_out_of(rows)
    return f"; {len(left_out)} cannot be measured: {listed(left_out)}" if left_out else ""


def _proposal_metrics(rows: Sequence[Row], not_answered: Mapping[str, str]) -> Metrics:
    if "propose" in not_answered:
        return {}
    masks = sum(row.masks for row in rows)
    best = {
        f"mean_best_iou_{count}": _mean(value for row in rows for value in row.best_iou[count])
        for count in rows[0].best_iou
    }
    recall = {
        f"ar_{count}": pooled_recall(sum(row.matched[count] for row in rows), masks)
        for count in rows[0].matched
    }
    return {
        **best,
        **recall,
        "proposals": _mean(float(row.proposals or 0) for row in rows),
        "mean_best_iou_by_size": _by_size(rows),
    }


def _region_metrics(rows: Sequence[Row]) -> Metrics:
    regions = [row.regions for row in rows if row.regions is not None]
    return dict(summarize_regions(regions)) if regions else {}


def _by_size(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return for each budget the mean over the masks of each of COCO's sizes that there are."""
    areas = np.array([area for row in rows for area in row.areas], np.int64)
    sizes = {size: np.flatnonzero(in_size(areas, size)) for size in SIZES}
    found = {}
    for count in rows[0].best_iou:
        best = [value for row in rows for value in row.best_iou[count]]
        found[count] = {
            size: _mean(best[index] for index in of_size)
            for size, of_size in sizes.items()
            if len(of_size)
        }
    return found


def _feature_metrics(
    rows: Sequence[Row], not_answered: Mapping[str, str], collapse_std: float
) -> Metrics:
    if "embed" in not_answered:
        return {}
    spread = _mean(row.feature_std or 0.0 for row in rows)
    return {"feature_std": spread, "collapsed": spread < collapse_std}


def zero_shot_against_click(
    rows: Sequence[Row], count: int, run: str
) -> tuple[list[float], list[float]] | None:
    """Return each image's IoU after one click of a run, and mean best IoU of `count` proposals.

    None where the model does not answer both.
    """
    seen = [row for row in rows if row.masks]
    if any(str(count) not in row.best_iou or run not in row.click_ious for row in seen):
        return None
    return (
        [_mean(row.first_ious(run)) for row in seen],
        [_mean(row.best_iou[str(count)]) for row in seen],
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
    """Return one line for each model whose features are the same at every pixel."""
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
