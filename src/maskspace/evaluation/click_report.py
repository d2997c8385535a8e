"""The clicks as CSV: every mask, every number of clicks, every run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from maskspace.evaluation.click_summary import click_record
from maskspace.evaluation.config import ClickRun, InteractiveConfig
from maskspace.evaluation.curves import write_csv
from maskspace.evaluation.findings import Metrics
from maskspace.evaluation.metric_names import NOC, answered_runs, iou_curve
from maskspace.evaluation.rows import Row
from maskspace.metrics.clicks_to_iou import clicks_to_iou


def write_per_sample(path: Path, rows: Iterable[Row], *, config: InteractiveConfig) -> None:
    """Write a CSV with one line a run and mask: IoU after each click, clicks to each target.

    A cell is empty where a click was not made. The mode of a model that has masks only is "own".

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> rows = [
        ...     Row(dataset="d", model="student", key=key, masks=1, masks_too_small=0, ids=[1],
        ...         areas=[9], click_ious={"center": [[iou]]})
        ...     for key, iou in (("a", 0.2), ("b", 0.9), ("c", 0.6))
        ... ]
        >>> write_per_sample(folder / "clicks.csv", rows, config=config.interactive)
        >>> print((folder / "clicks.csv").read_text().splitlines()[1])
        d,student,a,1,9,center,0.5,claims,0.2,,,
    """
    runs = config.runs
    most = max((run.clicks for run in runs), default=0)
    ious = (f"iou_{k}" for k in range(1, most + 1))
    counts = (f"{NOC}{100 * target:g}" for target in config.noc_targets)
    write_csv(
        path,
        ("dataset", "model", "key", "mask_id", "area", "clicker", "threshold", "mode", *ious,
         *counts),
        (line for row in rows for run in runs for line in _sample_lines(row, run, most, config)),
    )  # fmt: skip


def _sample_lines(
    row: Row, run: ClickRun, most: int, config: InteractiveConfig
) -> Iterator[Sequence[object]]:
    mode = "own" if row.combines and run.mode == "claims" else run.mode
    made_by_mask = row.click_ious.get(run.name, ())
    for mask_id, area, made in zip(row.ids, row.areas, made_by_mask, strict=False):
        record = click_record([made], run.clicks)
        counts = [clicks_to_iou(record, target=t).item() for t in config.noc_targets]
        yield (
            row.dataset, row.model, row.key, mask_id, area, run.clicker, run.threshold, mode,
            *(repr(iou) for iou in made), *[""] * (most - len(made)),
            *(counts if run.clicks > 1 else [""] * len(counts)),
        )  # fmt: skip


def write_click_curves(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write a CSV with one line a dataset, model, run and number of clicks.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {"miou_at_1_center": 0.7, "miou_at_2_center": 0.8}}}
        >>> write_click_curves(folder / "clicks.csv", metrics)
        >>> print((folder / "clicks.csv").read_text().strip())
        dataset,model,run,clicks,miou
        d,student,center,1,0.7
        d,student,center,2,0.8
    """
    write_csv(
        path,
        ("dataset", "model", "run", "clicks", "miou"),
        (
            (dataset, model, run, clicks, value)
            for dataset, models in metrics.items()
            for model, values in models.items()
            for run in answered_runs(values)
            for clicks, value in iou_curve(values, run)
        ),
    )
