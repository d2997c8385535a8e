"""Drive models through clicks and proposals, and write what was measured."""

import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from maskspace.evaluation import click_report, curves
from maskspace.evaluation.cases import write_cases
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.gallery import write_gallery
from maskspace.evaluation.intervals import comparisons
from maskspace.evaluation.model import Model
from maskspace.evaluation.rows import MapUnits, Row, measure_rows
from maskspace.evaluation.summary import Metrics, collapse_lines, summarize
from maskspace.evaluation.truth import read_truth
from maskspace.types import Sample

__all__ = ["EvaluateConfig", "Model", "evaluate_models", "report"]


def evaluate_models(
    datasets: Mapping[str, Iterable[Sample]],
    models: Mapping[str, Model],
    out: Path,
    *,
    config: EvaluateConfig,
    ranking: Mapping[str, str] | None = None,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> dict[str, dict[str, Metrics]]:
    """Measure every model on every dataset; return dataset -> model -> metric.

    Writes `metrics.json`, `table.txt`, `curves.csv`, `clicks.csv`, `comparisons.csv`,
    `per_image.csv`, `per_sample.csv`, `curve.png`, `clicks.png`, `scatter.png`, `gallery.png` and
    `cases.png` in the folder `out`, each whole or not at all. `work` keeps the rows of finished
    images (see `measure_rows`). Models whose output is constant are named on stderr. Datasets are
    gone through again for what is shown. `ranking` says what a model's proposals are ranked by,
    where its own `ranking` does not. Raises ValueError, naming the image, for one that cannot be
    read or whose masks have another size.
    """
    ranking = {name: model.ranking for name, model in models.items()} | dict(ranking or {})
    metrics: dict[str, dict[str, Metrics]] = {}
    rows: list[Row] = []
    for dataset, samples in datasets.items():
        measured = measure_rows(
            dataset, samples, models, config=config, work=work, map_units=map_units
        )
        metrics[dataset] = summarize(measured, config=config, ranking=ranking)
        rows += measured
    for line in collapse_lines(metrics):
        sys.stderr.write(f"{line}\n")
    _write(out, metrics, rows, datasets, models, config)
    return metrics


def report(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Return the main numbers in plain text, those of the clicks below the others."""
    tables = (curves.metrics_table(metrics), click_report.click_table(metrics))
    return "\n".join(table for table in tables if table)


def _write(
    out: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    rows: list[Row],
    datasets: Mapping[str, Iterable[Sample]],
    models: Mapping[str, Model],
    config: EvaluateConfig,
) -> None:
    headline = config.interactive.headline
    run, count = headline.name if headline else "", config.headline_count
    shown = [
        read_truth(sample, min_area=config.min_area)
        for samples in datasets.values()
        for sample in islice(samples, config.gallery_images)
    ]
    curves.write_curves(out / "curves.csv", metrics)
    curves.write_per_image(out / "per_image.csv", rows, count=count, run=run)
    curves.write_comparisons(
        out / "comparisons.csv",
        {
            dataset: comparisons(
                [row for row in rows if row.dataset == dataset], seed=config.interactive.seed
            )
            for dataset in datasets
        },
    )
    click_report.write_per_sample(out / "per_sample.csv", rows, config=config.interactive)
    click_report.write_click_curves(out / "clicks.csv", metrics)
    curves.write_text(out / "table.txt", report(metrics))
    curves.plot_curves(out / "curve.png", metrics)
    curves.plot_scatter(out / "scatter.png", rows, metrics, count=count, run=run)
    click_report.plot_click_curves(out / "clicks.png", metrics)
    write_gallery(out / "gallery.png", shown, models, count=count)
    write_cases(out / "cases.png", rows, datasets, models, config=config)
    curves.write_metrics(out / "metrics.json", metrics)
