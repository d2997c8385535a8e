"""What a sweep leaves: a table of its trials, and a ranking of its points over seeds."""

import csv
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from maskspace.files import appearing, write_whole
from maskspace.models.weights import DESCRIPTION, WEIGHTS
from maskspace.training.export import copy_record

Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the search space, over its seeds.

    name: its name.
    ratio: mean of the loss ratio over seeds.
    low, high: 95 % interval of that mean by Student's t; NaN with a single seed.
    seeds, finished, collapsed: number of trials, of those that finished, of those that collapsed.

    Example:
        >>> Point(name="pull", ratio=0.5, low=0.4, high=0.6, seeds=3, finished=3, collapsed=0).ratio
        0.5
    """

    name: str
    ratio: float
    low: float
    high: float
    seeds: int
    finished: int
    collapsed: int


def loss_ratio(row: Mapping[str, object]) -> float:
    """Return the last validation loss of a trial over its first one: this has a common unit.

    Example:
        >>> loss_ratio({"validation_loss": 0.5, "first_validation_loss": 2.0})
        0.25
    """
    last, first = (float(str(row[k])) for k in ("validation_loss", "first_validation_loss"))
    return last / max(abs(first), 1e-12)


def ranked_points(rows: Rows) -> list[Point]:
    """Return the points of the trials, best first: by collapsed seeds, loss ratio, then name.

    A trial that was stopped early counts with its last loss.

    Example:
        >>> rows = [
        ...     {
        ...         "trial": f"pull-seed{seed}",
        ...         "point": "pull",
        ...         "seed": seed,
        ...         "first_validation_loss": 2.0,
        ...         "validation_loss": loss,
        ...         "finished": True,
        ...         "collapsed": False,
        ...         "objective": {"name": "pull", "options": {"margin": 0.5}},
        ...     }
        ...     for seed, loss in ((0, 1.0), (1, 1.2))
        ... ]
        >>> best = ranked_points(rows)[0]
        >>> best.name, round(best.ratio, 3), best.seeds
        ('pull', 0.55, 2)
    """
    by_point: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        by_point.setdefault(str(row["point"]), []).append(row)
    points = [_point(name, members) for name, members in by_point.items()]
    return sorted(points, key=lambda p: (p.collapsed, p.ratio, p.name))


def _point(name: str, rows: Rows) -> Point:
    mean, low, high = mean_interval([loss_ratio(row) for row in rows])
    return Point(
        name=name,
        ratio=mean,
        low=low,
        high=high,
        seeds=len(rows),
        finished=sum(bool(row["finished"]) for row in rows),
        collapsed=sum(bool(row["collapsed"]) for row in rows),
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and the ends of its 95 % interval by Student's t; NaN ends of one value.

    Example:
        >>> [round(value, 3) for value in mean_interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
        >>> mean_interval([1.0])
        (1.0, nan, nan)
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean, mean - reach, mean + reach


def sweep_table(rows: Rows) -> pd.DataFrame:
    """Return a table with a row a trial, in the order of their names, and a column an option.

    Example:
        >>> rows = [
        ...     {
        ...         "trial": f"pull-seed{seed}",
        ...         "point": "pull",
        ...         "seed": seed,
        ...         "first_validation_loss": 2.0,
        ...         "validation_loss": loss,
        ...         "finished": True,
        ...         "collapsed": False,
        ...         "objective": {"name": "pull", "options": {"margin": 0.5}},
        ...     }
        ...     for seed, loss in ((0, 1.0), (1, 1.2))
        ... ]
        >>> sweep_table(rows)[["trial", "option_margin", "ratio"]].values.tolist()
        [['pull-seed0', 0.5, 0.5], ['pull-seed1', 0.5, 0.6]]
    """
    flat = []
    for row in sorted(rows, key=lambda row: str(row["trial"])):
        objective: Any = row["objective"]
        options = {f"option_{k}": _plain(v) for k, v in objective["options"].items()}
        others = {k: v for k, v in row.items() if k != "objective"}
        flat.append({**others, "objective": objective["name"], "ratio": loss_ratio(row), **options})
    return pd.DataFrame(flat)


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else json.dumps(value)


def write_sweep(rows: list[dict[str, object]], run: Path, out: Path) -> None:
    """Write each trial's model and history to `out/NAME`, and tables of all trials.

    `trials.json` and `sweep.parquet` hold the trials, `ranking.csv` the points over seeds.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> rows = [
        ...     {
        ...         "trial": f"pull-seed{seed}",
        ...         "point": "pull",
        ...         "seed": seed,
        ...         "first_validation_loss": 2.0,
        ...         "validation_loss": loss,
        ...         "finished": True,
        ...         "collapsed": False,
        ...         "objective": {"name": "pull", "options": {"margin": 0.5}},
        ...     }
        ...     for seed, loss in ((0, 1.0), (1, 1.2))
        ... ]
        >>> for row in rows:  # what `finish_trial` leaves of each
        ...     (folder / "run" / row["trial"]).mkdir(parents=True)
        ...     for file in (WEIGHTS, DESCRIPTION):
        ...         (folder / "run" / row["trial"] / file).touch()
        >>> write_sweep(rows, folder / "run", folder / "out")
        >>> sorted(path.name for path in (folder / "out").iterdir())
        ['pull-seed0', 'pull-seed1', 'ranking.csv', 'sweep.parquet', 'trials.json']
    """
    for row in rows:
        name = str(row["trial"])
        copy_record(run / name, out / name)
        for file in (WEIGHTS, DESCRIPTION):
            shutil.copyfile(run / name / file, out / name / file)
    table = sweep_table(rows)
    with appearing(out / "sweep.parquet") as partial:
        table.to_parquet(partial, index=False)
    write_whole(out / "ranking.csv", _ranking(ranked_points(rows)))
    write_whole(out / "trials.json", json.dumps(rows, indent=2) + "\n")


def _ranking(points: Sequence[Point]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["rank", "point", "loss_ratio", "low", "high", "seeds", "finished", "collapsed"]
    )
    for rank, p in enumerate(points, start=1):
        ends = ["" if math.isnan(end) else end for end in (p.low, p.high)]
        writer.writerow([rank, p.name, p.ratio, *ends, p.seeds, p.finished, p.collapsed])
    return text.getvalue()
