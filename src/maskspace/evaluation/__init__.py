"""Drive models through clicks and proposals, and write what was measured."""

import sys
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path

from maskspace.evaluation import curves
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.gallery import write_gallery
from maskspace.evaluation.model import Model
from maskspace.evaluation.rows import MapUnits, Row, measure_rows
from maskspace.evaluation.summary import Metrics, collapse_lines, summarize
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.types import Sample

__all__ = ["EvaluateConfig", "Model", "evaluate_models"]


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

    Writes `metrics.json`, `table.txt`, `curves.csv`, `per_image.csv`, `curve.png`, `scatter.png`
    and `gallery.png` in the folder `out`, each whole or not at all. `work` keeps the rows of
    finished images (see `measure_rows`). Models whose output is constant are named on stderr.
    `ranking` says what a model's proposals are ranked by, where its own `ranking` does not. Raises
    ValueError, naming the image, for one that cannot be read or whose masks have another size.
    """
    ranking = {name: model.ranking for name, model in models.items()} | dict(ranking or {})
    metrics: dict[str, dict[str, Metrics]] = {}
    rows: list[Row] = []
    shown: list[Truth] = []
    for dataset, samples in datasets.items():
        iterator = iter(samples)
        first = list(islice(iterator, config.gallery_images))
        shown += [read_truth(sample, min_area=config.min_area) for sample in first]
        measured = measure_rows(
            dataset, chain(first, iterator), models, config=config, work=work, map_units=map_units
        )
        metrics[dataset] = summarize(measured, config=config, ranking=ranking)
        rows += measured
    for line in collapse_lines(metrics):
        sys.stderr.write(f"{line}\n")
    _write(out, metrics, rows, shown, models, config)
    return metrics


def _write(
    out: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    rows: list[Row],
    shown: list[Truth],
    models: Mapping[str, Model],
    config: EvaluateConfig,
) -> None:
    curves.write_curves(out / "curves.csv", metrics)
    curves.write_per_image(out / "per_image.csv", rows, count=config.headline_count)
    curves.write_table(out / "table.txt", metrics)
    curves.plot_curves(out / "curve.png", metrics)
    curves.plot_scatter(out / "scatter.png", rows, metrics, count=config.headline_count)
    write_gallery(out / "gallery.png", shown, models, count=config.headline_count)
    curves.write_metrics(out / "metrics.json", metrics)
