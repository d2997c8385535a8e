"""Drive models through clicks and proposals, and write what was measured."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from maskspace.evaluation import click_report, curves
from maskspace.evaluation.cases import write_cases
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.gallery import write_gallery
from maskspace.evaluation.html_report import Findings, write_html
from maskspace.evaluation.intervals import comparisons
from maskspace.evaluation.left_out import left_out_of, readable
from maskspace.evaluation.model import Model
from maskspace.evaluation.reference import Origin, place_published
from maskspace.evaluation.region_report import plot_regions
from maskspace.evaluation.rows import Row, measure_rows
from maskspace.evaluation.summary import Metrics, collapse_lines, summarize
from maskspace.evaluation.truth import read_truth
from maskspace.evaluation.versions import truth_version, weights_version
from maskspace.evaluation.written import is_written, record_written
from maskspace.files import write_whole
from maskspace.types import MapUnits

__all__ = ["FILES", "EvaluateConfig", "Model", "Origin", "evaluate_models", "report"]

#: In the folder of work: what the files in `out` were written from.
WRITTEN = "written.json"

#: What `evaluate_models` writes.
FILES = (
    "metrics.json",
    "table.txt",
    "report.html",
    "curves.csv",
    "clicks.csv",
    "comparisons.csv",
    "per_image.csv",
    "per_sample.csv",
    "curve.png",
    "clicks.png",
    "regions.png",
    "scatter.png",
    "gallery.png",
    "cases.png",
)


def evaluate_models(
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Model],
    out: Path,
    *,
    config: EvaluateConfig,
    ranking: Mapping[str, str] | None = None,
    origins: Mapping[str, Origin] | None = None,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> dict[str, dict[str, Metrics]]:
    """Measure every model on every dataset; return dataset -> model -> metric.

    Writes `FILES` in the folder `out`, each whole or not at all. `work` keeps the rows of finished
    images (see `measure_rows`), and of what `FILES` were written: asked again for the same, with
    the files as they were, nothing is written again. Models whose output is constant are named on
    stderr. Datasets are gone through again for what is shown. `ranking` says what a model's
    proposals are ranked by, where its own `ranking` does not; `origins` what datasets are, where
    something was published on them. Images that cannot be measured are left out and counted
    (`left_out`); raises ValueError where they are too many, and for an answer of another size than
    the image's.
    """
    ranking = {name: model.ranking for name, model in models.items()} | dict(ranking or {})
    rows = {
        dataset: measure_rows(
            dataset, samples, models, config=config, work=work, map_units=map_units
        )
        for dataset, samples in datasets.items()
    }
    told = [[asdict(row) for row in found] for found in rows.values()]
    versions = _versions(rows, models, origins or {})
    stamp = json.dumps([told, asdict(config), ranking, versions], sort_keys=True)
    if work is not None and is_written(out, FILES, stamp, record=work / WRITTEN):
        return json.loads((out / "metrics.json").read_text())
    metrics = {
        dataset: summarize(found, config=config, ranking=ranking) for dataset, found in rows.items()
    }
    for line in collapse_lines(metrics):
        sys.stderr.write(f"{line}\n")
    _write(out, metrics, rows, datasets, models, config, origins or {})
    if work is not None:
        record_written(out, FILES, stamp, record=work / WRITTEN)
    return metrics


def report(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Return the main numbers in plain text, those of the clicks below the others."""
    tables = (curves.metrics_table(metrics), click_report.click_table(metrics))
    return "\n".join(table for table in tables if table)


def _write(
    out: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    measured: Mapping[str, Sequence[Row]],
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Model],
    config: EvaluateConfig,
    origins: Mapping[str, Origin],
) -> None:
    headline = config.interactive.headline
    run, count = headline.name if headline else "", config.headline_count
    rows = [row for found in measured.values() for row in found]
    shown = [
        read_truth(sample, min_area=config.min_area)
        for dataset, samples in datasets.items()
        for sample in islice(
            readable(samples, left_out_of(measured[dataset])), config.gallery_images
        )
    ]
    findings = Findings(
        metrics=metrics,
        compared={
            dataset: list(comparisons(found, seed=config.interactive.seed))
            for dataset, found in measured.items()
        },
        placed={
            dataset: place_published(origins.get(dataset), _images(found), models.values(), config)
            for dataset, found in measured.items()
        },
        versions=_versions(measured, models, origins),
        config=config,
    )
    curves.write_curves(out / "curves.csv", metrics)
    curves.write_per_image(out / "per_image.csv", rows, count=count, run=run)
    curves.write_comparisons(out / "comparisons.csv", findings.compared)
    click_report.write_per_sample(out / "per_sample.csv", rows, config=config.interactive)
    click_report.write_click_curves(out / "clicks.csv", metrics)
    write_whole(out / "table.txt", report(metrics))
    curves.plot_iou_curves(out / "curve.png", metrics)
    curves.plot_click_scatter(out / "scatter.png", rows, metrics, count=count, run=run)
    click_report.plot_click_curves(out / "clicks.png", metrics, findings.placed)
    plot_regions(out / "regions.png", metrics, findings.placed)
    write_gallery(out / "gallery.png", shown, models, count=count)
    write_cases(out / "cases.png", rows, datasets, models, config=config)
    write_html(out / "report.html", findings)
    curves.write_metrics(out / "metrics.json", metrics)


def _images(rows: Sequence[Row]) -> int:
    return len({row.key for row in rows})


def _versions(
    measured: Mapping[str, Sequence[Row]],
    models: Mapping[str, Model],
    origins: Mapping[str, Origin],
) -> list[tuple[str, str]]:
    """Return what was measured with what, a name and its version a line."""
    lines = [("maskspace", version("maskspace"))]
    for dataset, rows in measured.items():
        origin = origins.get(dataset)
        own = f"{origin.kind}, {origin.split or 'no split of its own'}; " if origin else ""
        lines.append((dataset, f"{own}{_images(rows)} images, truth {truth_version(rows)}"))
    for name, model in models.items():
        weights = weights_version(model)
        lines.append((name, f"weights {weights}" if weights else "a method without weights"))
    return lines
