"""Tables and curves of the clicks: every mask, every number of clicks, every run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from maskspace import pictures
from maskspace.evaluation.click_summary import (
    BEST_LEVEL,
    MIOU,
    NEVER,
    NOC,
    NOF,
    OUTSIDE,
    answered_runs,
    click_record,
    iou_curve,
)
from maskspace.evaluation.config import ClickRun, InteractiveConfig
from maskspace.evaluation.curves import aligned, number, write_csv
from maskspace.evaluation.reference import Placed
from maskspace.evaluation.rows import Row
from maskspace.evaluation.summary import Metrics
from maskspace.metrics.clicks_to_iou import clicks_to_iou

#: Numbers of clicks whose mIoU has a column of the table, as far as they were made.
SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)


def write_per_sample(path: Path, rows: Iterable[Row], *, config: InteractiveConfig) -> None:
    """Write a CSV with one line a run and mask: IoU after each click, clicks to each target.

    A cell is empty where a click was not made. The mode of a model that has masks only is "own".
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


def click_table(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Return the runs of every model in plain text, and below which protocol they followed.

    NoC and NoF: mean clicks to the IoU in percent, and the masks that took all of them; never: the
    masks that did not get there; outside: the share of what further clicks changed that was right
    before.
    """
    table = click_cells(metrics)
    if len(table) == 1:
        return ""
    protocols = dict.fromkeys(str(v["protocol"]) for m in metrics.values() for v in m.values())
    return "\n".join([*aligned(table, left=3), *(f"protocol {text}" for text in protocols)]) + "\n"


def click_cells(metrics: Mapping[str, Mapping[str, Metrics]]) -> list[list[str]]:
    """Return the cells of the table of clicks, headings first: one line a run that was answered."""
    lines = [
        (dataset, model, run, values)
        for dataset, models in metrics.items()
        for model, values in models.items()
        for run in answered_runs(values)
    ]
    heads = {f"{MIOU}{k}_{{}}": f"mIoU@{k}" for k in SHOWN_CLICKS}
    heads |= {f"{MIOU}1_{{}}{BEST_LEVEL}": "best level"}
    targets = sorted(
        {
            name.removeprefix(NOC).removesuffix(f"_{run}")
            for _, _, run, values in lines
            for name in values
            if name.startswith(NOC) and name.endswith(f"_{run}")
        }
    )
    for head, title in ((NOC, "NoC"), (NOF, "NoF"), (NEVER, "never")):
        heads |= {f"{head}{target}_{{}}": f"{title}{target}" for target in targets}
    heads |= {f"{OUTSIDE}{{}}": "outside"}
    shown = {
        name: title
        for name, title in heads.items()
        if any(name.format(run) in values for _, _, run, values in lines)
    }
    table = [["dataset", "model", "clicks", *shown.values()]]
    for dataset, model, run, values in lines:
        cells = [number(values.get(name.format(run))) for name in shown]
        table.append([dataset, model, run, *cells])
    return table


def write_click_curves(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write a CSV with one line a dataset, model, run and number of clicks."""
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


def plot_click_curves(
    path: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    placed: Mapping[str, Iterable[Placed]],
) -> None:
    """Write a PNG: mIoU against the number of clicks, one panel a dataset, runs of several.

    Beside the runs that were clicked alike stands what was published.
    """
    panels: dict[str, Sequence[pictures.Line]] = {}
    for dataset, models in metrics.items():
        curves = {
            (model, run): iou_curve(values, run)
            for model, values in models.items()
            for run in answered_runs(values)
        }
        longest = max(map(len, curves.values()), default=0)
        shown = {way: c for way, c in curves.items() if len(c) > 1 or longest == 1}
        runs = {run for _, run in shown}
        panels[dataset] = [
            *(
                pictures.Line(
                    label=f"{model}, {run}",
                    x=[k for k, _ in curve],
                    y=[value for _, value in curve],
                )
                for (model, run), curve in shown.items()
            ),
            *(
                one.click_line()
                for one in placed.get(dataset, ())
                if one.values and one.run in runs
            ),
        ]
    pictures.plot_curves(path, panels, x_label="clicks", y_label="mIoU", logarithmic=False)
