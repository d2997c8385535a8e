"""What was measured, as JSON and CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from maskspace.evaluation.findings import Comparison, Metrics
from maskspace.evaluation.metric_names import CURVE, bounds, curve
from maskspace.evaluation.rows import Row
from maskspace.files import write_whole


def write_metrics(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write dataset -> model -> metric as JSON; ValueError for a number that is not finite."""
    write_whole(path, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def write_curves(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write a CSV with one line a dataset, model and budget of proposals.

    `low` and `high` are the 95 % interval over images, empty where there is none.
    """
    write_csv(
        path,
        ("dataset", "model", "proposals", "mean_best_iou", "low", "high"),
        (
            (dataset, model, count, value, *(bounds(values, f"{CURVE}{count}") or ("", "")))
            for dataset, models in metrics.items()
            for model, values in models.items()
            for count, value in curve(values)
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


def write_per_image(path: Path, rows: Iterable[Row], *, count: int, run: str) -> None:
    """Write a CSV with one line an image and model; cells the model does not answer are empty."""
    write_csv(
        path,
        ("dataset", "model", "key", "masks", f"iou_at_1_{run or 'center'}", f"{CURVE}{count}",
         "proposals", "seconds"),
        (
            (row.dataset, row.model, row.key, row.masks,
             _mean(row.first_ious(run) if run in row.click_ious else None),
             _mean(row.best_iou.get(str(count))), _cell(row.proposals), f"{row.seconds:.4f}")
            for row in rows
            if row.masks
        ),
    )  # fmt: skip


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _mean(values: Sequence[float] | None) -> str:
    return "" if values is None else repr(sum(values) / len(values))


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write a CSV; it appears whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_whole(path, text.getvalue())
