"""Write what was measured as JSON and CSV."""

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
    """Write dataset -> model -> metric as JSON; ValueError for a number that is not finite.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_metrics(folder / "metrics.json", {"d": {"student": {"dice_at_1": 0.8}}})
        >>> json.loads((folder / "metrics.json").read_text())
        {'d': {'student': {'dice_at_1': 0.8}}}
    """
    write_whole(path, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def write_curves(
    path: Path, metrics: Mapping[str, Mapping[str, Metrics]], figures: Iterable[Figure]
) -> None:
    """Write a CSV with one line a dataset, model and budget of proposals.

    `low` and `high` are the 95 % interval over images, empty where there is none.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> from maskspace.evaluation.config import protocol_config
        >>> from maskspace.evaluation.measures import figures_of
        >>> figures = figures_of(protocol_config("maskspace")).values()
        >>> write_curves(
        ...     folder / "curves.csv", {"d": {"student": {"mean_best_iou_10": 0.8}}}, figures
        ... )
        >>> print((folder / "curves.csv").read_text().strip())
        dataset,model,proposals,mean_best_iou,low,high
        d,student,10,0.8,,
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
    """Write a CSV with one line a dataset, mean over masks and pair of models.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> gain = Comparison(
        ...     measure="dice_at_1",
        ...     model="student",
        ...     other="watershed",
        ...     difference=0.1,
        ...     low=0.05,
        ...     high=0.15,
        ...     p_value=0.01,
        ... )
        >>> write_comparisons(folder / "comparisons.csv", {"d": [gain]})
        >>> print((folder / "comparisons.csv").read_text().strip())
        dataset,measure,model,other,difference,low,high,p_value
        d,dice_at_1,student,watershed,0.1,0.05,0.15,0.01
    """
    names = [field.name for field in fields(Comparison)]
    write_csv(
        path,
        ("dataset", *names),
        (
            (dataset, *(getattr(comparison, name) for name in names))
            for dataset, of_dataset in compared.items()
            for comparison in of_dataset
        ),
    )


def write_per_image(path: Path, rows: Iterable[Row], figures: Iterable[Figure]) -> None:
    """Write a CSV with one line an image and model; cells the model does not answer are empty.

    A figure has a cell an image unless it is of the dataset as a whole, as one at the best scale.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> row = Row(
        ...     dataset="d",
        ...     model="student",
        ...     key="a",
        ...     masks=2,
        ...     masks_too_small=0,
        ...     kept={"dice_at_1": [0.5, 1.0]},
        ... )
        >>> figure = Figure(name="dice_at_1", measure="dice_at_1")
        >>> write_per_image(folder / "images.csv", [row], [figure])
        >>> print((folder / "images.csv").read_text().strip())
        dataset,model,key,masks,dice_at_1,seconds
        d,student,a,2,0.75,0.0000
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
    """Write a CSV; it appears whole or not at all.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_csv(folder / "table.csv", ["name", "iou"], [("a", 0.5)])
        >>> print((folder / "table.csv").read_text().strip())
        name,iou
        a,0.5
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_whole(path, text.getvalue())
