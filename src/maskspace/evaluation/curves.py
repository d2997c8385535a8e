"""What was measured as JSON and CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from maskspace.evaluation.findings import Comparison, Metrics
from maskspace.evaluation.measures import Figure
from maskspace.evaluation.metric_names import CURVE, bounds, curve
from maskspace.evaluation.rows import Row
from maskspace.files import write_whole


def write_metrics(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write dataset -> model -> metric as JSON; ValueError for a number that is not finite."""
    write_whole(path, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def write_curves(
    path: Path, metrics: Mapping[str, Mapping[str, Metrics]], figures: Iterable[Figure]
) -> None:
    """Write a CSV with one line a dataset, model and budget of proposals.

    `low` and `high` are the 95 % interval over images, empty where there is none.
    """
    headings = [figure.heading for figure in figures]
    write_csv(
        path,
        ("dataset", "model", "proposals", CURVE, "low", "high"),
        (
            (dataset, model, point.at, value, *(bounds(values, point.name) or ("", "")))
            for dataset, models in metrics.items()
            for model, values in models.items()
            for point, value in curve(values, headings)
        ),
    )


def write_comparisons(path: Path, compared: Mapping[str, Iterable[Comparison]]) -> None:
    """Write a CSV with one line a dataset, mean over masks and pair of models."""
    names = [field.name for field in fields(Comparison)]
    write_csv(
        path,
        ("dataset", *names),
        (
            (dataset, *(getattr(one, name) for name in names))
            for dataset, found in compared.items()
            for one in found
        ),
    )


def write_per_image(path: Path, rows: Iterable[Row], figures: Iterable[Figure]) -> None:
    """Write a CSV with one line an image and model; cells the model does not answer are empty.

    A figure has a cell an image unless it is of the dataset as a whole, as one at the best scale.
    """
    cells = [figure for figure in figures if figure.share is not None]
    write_csv(
        path,
        ("dataset", "model", "key", "masks", *(figure.name for figure in cells), "seconds"),
        (
            (row.dataset, row.model, row.key, row.masks, *(_of_image(row, f) for f in cells),
             f"{row.seconds:.4f}")
            for row in rows
            if row.masks
        ),
    )  # fmt: skip


def _of_image(row: Row, figure: Figure) -> str:
    value = figure.of_image(row.kept[figure.measure]) if figure.measure in row.kept else None
    return "" if value is None else repr(float(value))


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write a CSV; it appears whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_whole(path, text.getvalue())
