"""Tables and plots of what was measured."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from maskspace import pictures
from maskspace.evaluation.intervals import Comparison
from maskspace.evaluation.left_out import listed
from maskspace.evaluation.rows import Row
from maskspace.evaluation.summary import Metrics, zero_shot_against_click
from maskspace.files import write_whole

CURVE = "mean_best_iou_"
#: Columns of the printed table, as far as they were measured: metric -> heading.
COLUMNS = {
    "miou_at_1_center": "mIoU@1",
    "miou_at_1_random": "random",
    "mean_best_iou_10": "best@10",
    "mean_best_iou_50": "best@50",
    "ar_10": "AR@10",
    "ar_100": "AR@100",
    "covering_ods": "cover ODS",
    "covering_ois": "OIS",
    "covering_best": "best",
    "feature_std": "std",
}


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
            for count, value in _curve(values)
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


def metrics_table(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Return the main numbers as a table in plain text, with what each ranking means below it.

    mIoU@1 of centre and of random clicks, mean best IoU and COCO's AR of a number of proposals,
    covering of partitions at one scale for all images, for each and for each region, standard
    deviation of the features. A dash stands where a model does not answer; the reasons are below.
    """
    columns = [c for c in COLUMNS if any(c in v for m in metrics.values() for v in m.values())]
    table = [["dataset", "model", "images", "masks", *(COLUMNS[c] for c in columns)]]
    for dataset, models in metrics.items():
        for model, values in models.items():
            numbers = [number(values.get(column)) for column in columns]
            table.append([dataset, model, str(values["images"]), str(values["masks"]), *numbers])
    notes = {
        f"{model}: proposals ranked by {values['ranking']}": None
        for models in metrics.values()
        for model, values in models.items()
        if "ranking" in values
    }
    return "\n".join([*aligned(table, left=2), *notes, *_reasons(metrics)]) + "\n"


def _reasons(metrics: Mapping[str, Mapping[str, Metrics]]) -> list[str]:
    """Return a line for what a dash in the table means, and for images that were left out."""
    lines: dict[str, None] = {}
    for dataset, models in metrics.items():
        for model, values in models.items():
            refused, left_out = values["not_answered"], values["left_out"]
            assert isinstance(refused, dict) and isinstance(left_out, dict)
            for question, why in refused.items():
                lines[f"{model}: no answer to {question}: {why}"] = None
            if left_out:
                images = len(left_out) + int(str(values["images"]))
                lines[
                    f"{dataset}: {len(left_out)} of {images} images left out: {listed(left_out)}"
                ] = None
    return list(lines)


def aligned(table: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Return the lines of a table, its first `left` columns aligned to the left."""
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def plot_iou_curves(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write a PNG: mean best IoU against the number of proposals, one panel a dataset.

    Bands are 95 % intervals over images.
    """
    panels = {
        dataset: [
            pictures.Line(
                label=f"{model} (by {values['ranking']})",
                x=[count for count, _ in _curve(values)],
                y=[value for _, value in _curve(values)],
                band=_band(values),
            )
            for model, values in models.items()
            if "ranking" in values
        ]
        for dataset, models in metrics.items()
    }
    pictures.plot_curves(path, panels, x_label="number of proposals", y_label="mean best IoU")


def plot_click_scatter(
    path: Path,
    rows: Sequence[Row],
    metrics: Mapping[str, Mapping[str, Metrics]],
    *,
    count: int,
    run: str,
) -> None:
    """Write a PNG of zero-shot against one-click IoU, a point an image, a panel a dataset."""
    panels: dict[str, list[pictures.Line]] = {}
    for dataset, models in metrics.items():
        for model, values in models.items():
            chosen = [row for row in rows if (row.dataset, row.model) == (dataset, model)]
            pairs = zero_shot_against_click(chosen, count, run)
            if pairs is None:
                continue
            label = f"{model}\n{correlations(values)}"
            panels.setdefault(dataset, []).append(
                pictures.Line(label=label, x=pairs[0], y=pairs[1])
            )
    pictures.plot_scatter(
        path,
        panels,
        x_label=f"IoU after one click ({run})",
        y_label=f"mean best IoU of {count} proposals",
    )


def correlations(values: Metrics) -> str:
    """Return how zero-shot and one-click IoU of a model go together over images, in words."""
    parts = []
    for name in ("pearson", "spearman"):
        value = values.get(f"zero_shot_click_{name}")
        parts.append(f"{name.capitalize()} {'undefined' if value is None else number(value)}")
    return ", ".join(parts)


def _curve(values: Metrics) -> list[tuple[int, float]]:
    return [
        (int(name.removeprefix(CURVE)), float(value))
        for name, value in values.items()
        if name.startswith(CURVE) and isinstance(value, float)
    ]


def bounds(values: Metrics, metric: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric, or None where there is none."""
    intervals = values.get("interval_95")
    found = intervals.get(metric) if isinstance(intervals, dict) else None
    return None if found is None else (found["low"], found["high"])


def _band(values: Metrics) -> list[tuple[float, float]] | None:
    found = [bounds(values, f"{CURVE}{count}") for count, _ in _curve(values)]
    return None if None in found else [pair for pair in found if pair is not None]


def number(value: object) -> str:
    """Return a cell of a printed table: three decimals, and a dash for what is not there."""
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


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
