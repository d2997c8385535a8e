"""Drive models through clicks and proposals, and write the numbers that were measured."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np

from maskspace.evaluation import click_report, curves
from maskspace.evaluation.cases import ShownCase, shown_cases
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.findings import (
    FINDINGS,
    Findings,
    Metrics,
    Origin,
    write_findings,
)
from maskspace.evaluation.gallery import Column, gallery_columns
from maskspace.evaluation.intervals import comparisons
from maskspace.evaluation.left_out import left_out_of, readable
from maskspace.evaluation.measures import figures_of
from maskspace.evaluation.rows import Row, measure_rows
from maskspace.evaluation.summary import (
    collapse_lines,
    summarize,
    zero_shot_against_click,
)
from maskspace.evaluation.truth import read_truth
from maskspace.evaluation.versions import truth_version, weights_version
from maskspace.evaluation.written_files import is_written, record_written
from maskspace.loaded import Segmenter
from maskspace.shown import SHOWN, keep_shown
from maskspace.types import MapUnits

#: In the folder of work: what the files in `out` were written from.
WRITTEN = "written.json"

#: What `measure_models` writes.
NUMBERS = (
    "metrics.json",
    FINDINGS,
    SHOWN,
    "curves.csv",
    "clicks.csv",
    "comparisons.csv",
    "per_image.csv",
    "per_sample.csv",
)


def measure_models(
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Segmenter],
    out: Path,
    *,
    config: EvaluateConfig,
    ranking: Mapping[str, str] | None = None,
    origins: Mapping[str, Origin] | None = None,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> dict[str, dict[str, Metrics]]:
    """Measure every model on every dataset; return dataset -> model -> metric.

    Writes `NUMBERS` in the folder `out`, each file whole or not at all. Models whose output is
    constant are named on stderr. Images that cannot be measured are left out and counted
    (`left_out`). ValueError if there are too many of them, and for an answer of another size than
    the image's.

    Args:
        datasets: name -> samples; some are read twice, for the pictures.
        models: name -> model.
        out: folder of the files.
        config: how models are measured.
        ranking: model -> what its proposals are ranked by (default None: as the model says).
        origins: dataset -> where it comes from, if something was published on it (default None).
        work: folder that keeps the rows of finished images (see `measure_rows`), and what the files
            were made from: the same request is then not computed again (default None: nothing is
            kept).
        map_units: maps a function over images, here or on a cluster (default `map`).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> from maskspace.types import Prediction
        >>> class Whole(Segmenter):  # proposes the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose"})
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        >>> from maskspace.evaluation.config import SelectConfig
        >>> config = SelectConfig(limit=1, min_area=1, proposals=1, decoder_factors=()).measured()
        >>> metrics = measure_models({"d": samples}, {"whole": Whole()}, folder, config=config)
        >>> 0 < metrics["d"]["whole"]["mean_best_iou_1"] < 1
        True
    """
    ranking = {name: model.ranking for name, model in models.items()} | dict(ranking or {})
    rows = {
        dataset: measure_rows(
            dataset, samples, models, config=config, work=work, map_units=map_units
        )
        for dataset, samples in datasets.items()
    }
    versions = _versions(rows, models, origins or {})
    stamp = json.dumps([_digest(rows), asdict(config), ranking, versions], sort_keys=True)
    if work is not None and is_written(out, NUMBERS, stamp, record=work / WRITTEN):
        return json.loads((out / "metrics.json").read_text())
    metrics = {
        dataset: summarize(of_dataset, config=config, ranking=ranking)
        for dataset, of_dataset in rows.items()
    }
    for line in collapse_lines(metrics):
        sys.stderr.write(f"{line}\n")
    findings = _findings(rows, models, config, origins or {})
    _keep_shown(out / SHOWN, rows, datasets, models, config)
    _write_tables(out, metrics, rows, findings, config)
    write_findings(out / FINDINGS, findings)
    curves.write_metrics(out / "metrics.json", metrics)
    if work is not None:
        record_written(out, NUMBERS, stamp, record=work / WRITTEN)
    return metrics


def _digest(measured: Mapping[str, Sequence[Row]]) -> str:
    """Return a hash of rows, a row at a time: all as text would be larger than the rows."""
    digest = hashlib.sha256()
    for rows in measured.values():
        for row in rows:
            digest.update(json.dumps(asdict(row), sort_keys=True).encode())
    return digest.hexdigest()


def _findings(
    measured: Mapping[str, Sequence[Row]],
    models: Mapping[str, Segmenter],
    config: EvaluateConfig,
    origins: Mapping[str, Origin],
) -> Findings:
    sides = {model.working_side for model in models.values()}
    figures = figures_of(config)
    return Findings(
        headings=[figure.heading for figure in figures.values()],
        images={dataset: _images(of_dataset) for dataset, of_dataset in measured.items()},
        compared={
            dataset: list(comparisons(of_dataset, figures, seed=config.interactive.seed))
            for dataset, of_dataset in measured.items()
        },
        pairs={
            dataset: _pairs(of_dataset, models, config) for dataset, of_dataset in measured.items()
        },
        origins=origins,
        sides=sorted(side for side in sides if side),
        versions=_versions(measured, models, origins),
    )


def _pairs(
    rows: Sequence[Row], models: Mapping[str, Segmenter], config: EvaluateConfig
) -> dict[str, tuple[list[float], list[float]]]:
    """Return each image's IoU after one click and of its proposals, of models that answer both."""
    run = config.interactive.headline
    by_model = {}
    for model in models:
        of_model = [row for row in rows if row.model == model]
        pairs = zero_shot_against_click(of_model, config.headline_count, run.name if run else "")
        if pairs is not None:
            by_model[model] = pairs
    return by_model


def _write_tables(
    out: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    measured: Mapping[str, Sequence[Row]],
    findings: Findings,
    config: EvaluateConfig,
) -> None:
    figures = figures_of(config).values()
    rows = [row for of_dataset in measured.values() for row in of_dataset]
    curves.write_curves(out / "curves.csv", metrics, figures)
    curves.write_per_image(out / "per_image.csv", rows, figures)
    curves.write_comparisons(out / "comparisons.csv", findings.compared)
    click_report.write_per_sample(out / "per_sample.csv", rows, config=config.interactive)
    click_report.write_click_curves(out / "clicks.csv", metrics)


def _keep_shown(
    path: Path,
    measured: Mapping[str, Sequence[Row]],
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Segmenter],
    config: EvaluateConfig,
) -> None:
    """Write the arrays of the gallery and of the cases, in the order in which they are drawn."""
    truths = [
        read_truth(sample, min_area=config.min_area)
        for dataset, samples in datasets.items()
        for sample in islice(
            readable(samples, left_out_of(measured[dataset])), config.gallery_images
        )
    ]
    columns = gallery_columns(truths, models, count=config.headline_count)
    rows = [row for of_dataset in measured.values() for row in of_dataset]
    cases = shown_cases(rows, datasets, models, config=config)
    about = {
        "columns": [{"title": title, "kind": kind} for title, kind in columns],
        "images": [truth.key for truth in truths],
        "cases": [{"name": case.name, "click": case.click} for case in cases],
    }
    keep_shown(path, {**_gallery_arrays(columns), **_case_arrays(cases)}, about=about)


def _gallery_arrays(columns: Mapping[tuple[str, str], Column]) -> dict[str, np.ndarray]:
    return {
        f"column {index} image {row}": array
        for index, arrays in enumerate(columns.values())
        for row, array in enumerate(arrays)
    }


def _case_arrays(cases: Sequence[ShownCase]) -> dict[str, np.ndarray]:
    return {
        f"case {index} {name}": array
        for index, case in enumerate(cases)
        for name, array in case.arrays.items()
    }


def _images(rows: Sequence[Row]) -> int:
    return len({row.key for row in rows})


def _versions(
    measured: Mapping[str, Sequence[Row]],
    models: Mapping[str, Segmenter],
    origins: Mapping[str, Origin],
) -> list[tuple[str, str]]:
    """Return what was measured with what, a name and its version a line."""
    lines = [("maskspace", version("maskspace"))]
    for dataset, rows in measured.items():
        origin = origins.get(dataset)
        described = f"{origin.kind}, {origin.split or 'no split of its own'}; " if origin else ""
        lines.append((dataset, f"{described}{_images(rows)} images, truth {truth_version(rows)}"))
    for name, model in models.items():
        weights = weights_version(model)
        lines.append((name, f"weights {weights}" if weights else "a method without weights"))
    return lines
