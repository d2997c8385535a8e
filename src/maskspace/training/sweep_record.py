"""Plots of a sweep, and its MLflow runs; no result depends on them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from maskspace import pictures, tracking
from maskspace.spool import spool_of
from maskspace.training.checkpoint import PICTURES, Progress
from maskspace.training.live import recorded
from maskspace.training.sweep_tables import Rows, mean_interval, sweep_table

PLOTS = ("losses.png", "parallel.png", "bandwidths.png")


def draw_sweep(folder: Path, out: Path) -> None:
    """Draw what `write_sweep` wrote to `folder`, as `PLOTS` in `out`.

    The plots show validation losses over their own first value, the options of every trial, and the
    loss against each numeric option.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> rows = [
        ...     {"trial": f"balls-{radius}", "point": f"balls-{radius}", "seed": 0,
        ...      "learning_rate": None,
        ...      "objective": {"name": "balls", "options": {"radius": radius}},
        ...      "step": 2, "first_validation_loss": 2.0, "validation_loss": radius,
        ...      "collapsed": False, "finished": True} for radius in (0.5, 1.0)]
        >>> for row in rows:
        ...     (folder / row["trial"]).mkdir()
        ...     Progress(folder / row["trial"]).append({"step": 1.0, "val_loss": 2.0})
        >>> _ = (folder / "trials.json").write_text(json.dumps(rows))
        >>> draw_sweep(folder, folder / "plots")
        >>> sorted(path.name for path in (folder / "plots").iterdir())
        ['bandwidths.png', 'losses.png', 'parallel.png']
    """
    rows = json.loads((folder / "trials.json").read_text())
    table = sweep_table(rows)
    losses, parallel, bandwidths = (out / name for name in PLOTS)
    _plot_losses(rows, folder, losses)
    _plot_parallel(table, parallel)
    _plot_by_option(table, bandwidths)


def _plot_losses(rows: Rows, folder: Path, path: Path) -> None:
    lines = []
    for row in rows:
        name = str(row["trial"])
        history = Progress(folder / name).history()
        losses = [point["val_loss"] / max(abs(history[0]["val_loss"]), 1e-12) for point in history]
        lines.append(pictures.Line(label=name, x=[point["step"] for point in history], y=losses))
    panels = {"validation loss over its own first value": lines}
    pictures.plot_histories(path, panels, x_label="step", y_label="ratio")


def _plot_parallel(table: pd.DataFrame, path: Path) -> None:
    options = [name for name in table.columns if name.startswith("option_")]
    swept = [n for n in ("learning_rate", "seed") if len(set(table[n].tolist())) > 1]
    names = ["objective", *options, *swept, "ratio"]
    axes = {name.removeprefix("option_"): table[name].tolist() for name in names}
    pictures.plot_parallel(path, axes, values=table["ratio"].tolist(), label="loss ratio")


def _plot_by_option(table: pd.DataFrame, path: Path) -> None:
    panels: dict[str, list[pictures.Line]] = {}
    columns = ["learning_rate", *(n for n in table.columns if n.startswith("option_"))]
    for option in (name for name in columns if _is_number(table[name].tolist())):
        for objective in sorted(set(table["objective"])):
            rows = table[(table["objective"] == objective) & table[option].notna()]
            ratios: dict[float, list[float]] = {}
            for value, ratio in zip(rows[option].tolist(), rows["ratio"].tolist(), strict=True):
                ratios.setdefault(float(value), []).append(ratio)
            if not ratios:
                continue
            by_value = sorted(ratios.items())
            intervals = [mean_interval(values) for _, values in by_value]
            panels.setdefault(option.removeprefix("option_"), []).append(
                pictures.Line(
                    label=str(objective),
                    x=[value for value, _ in by_value],
                    y=[mean for mean, _, _ in intervals],
                    band=[
                        (m if math.isnan(a) else a, m if math.isnan(b) else b)
                        for m, a, b in intervals
                    ],
                )
            )
    pictures.plot_histories(path, panels, x_label="value", y_label="loss ratio", logarithmic=True)


def _is_number(column: Sequence[object]) -> bool:
    """Return whether a column holds a number, and none but numbers above 0."""
    known = [value for value in column if value is not None and value == value]
    return bool(known) and all(isinstance(value, int | float) and value > 0 for value in known)


def record_sweep(
    rows: list[dict[str, object]],
    run: Path,
    out: Path,
    *,
    params: Mapping[str, object],
    inputs: Sequence[tracking.Input],
) -> None:
    """Record a sweep as an MLflow run, its trials under it; once, if asked again.

    Args:
        rows: the rows of the trials, see `sweep`.
        run: folder of the sweep's progress.
        out: folder that `write_sweep` wrote.
        params: the settings to log.
        inputs: the datasets that were read.

    Example:
        >>> from maskspace.training.sweep_record import PLOTS
        >>> PLOTS  # the pictures that the run keeps, beside a run for each trial
        ('losses.png', 'parallel.png', 'bandwidths.png')
    """
    draw_sweep(out, run / PICTURES)
    parent = spool_of(run, experiment="sweep", name="sweep")
    parent.begin(params, inputs=inputs)
    for picture in PLOTS:
        parent.file(run / PICTURES / picture, PICTURES)
    spools = {parent: run}
    for row in rows:
        name = str(row["trial"])
        trial = spool_of(run / name, experiment="sweep", name=name, parent=parent.folder.name)
        trial.begin(row)
        spools[trial] = run / name
    with recorded(spools):
        pass
