import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskspace.training.checkpoint import Progress
from maskspace.training.sweep_record import PLOTS, draw_sweep
from maskspace.training.sweep_tables import (
    loss_ratio,
    mean_interval,
    ranked_points,
    sweep_table,
    write_sweep,
)


def row(trial, loss, *, point=None, first=1.0, collapsed=False, seed=0, **options):
    return {
        "trial": trial,
        "point": point or trial,
        "seed": seed,
        "learning_rate": None,
        "objective": {"name": "balls", "options": options},
        "step": 4,
        "first_validation_loss": first,
        "validation_loss": loss,
        "collapsed": collapsed,
        "finished": True,
    }


def test_points_are_ranked_by_the_mean_over_seeds_and_collapsed_ones_last():
    rows = [
        row("a0", 0.1, point="a"),
        row("a1", 0.9, point="a", seed=1),
        row("b0", 0.4, point="b"),
        row("b1", 0.4, point="b", seed=1),
        row("c", 0.0, collapsed=True),
    ]
    points = ranked_points(rows)
    assert [point.name for point in points] == ["b", "a", "c"]
    assert points[1].low < 0.5 < points[1].high
    assert points[0].low == points[0].high == pytest.approx(0.4)
    assert math.isnan(points[2].low)


def test_the_interval_is_students():
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert high - mean == pytest.approx(4.302653 * 1 / 3**0.5, rel=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_a_loss_below_0_still_has_a_ratio():
    assert loss_ratio(row("a", -3.0, first=-2.0)) == pytest.approx(-1.5)


def test_the_table_does_not_depend_on_the_order_of_the_trials():
    rows = [row("b", 0.2, radius=0.1), row("a", 0.3, radius=0.2, level_weights={"1": 1.0})]
    assert sweep_table(rows).equals(sweep_table(rows[::-1]))
    assert sweep_table(rows)["option_radius"].tolist() == [0.2, 0.1]


def test_tables_and_plots_are_written(tmp_path):
    rows = [row("a", 0.5, radius=0.1), row("b", 0.2, radius=0.2), row("c", 0.3, bandwidth=0.3)]
    for one in rows:
        run = Progress(tmp_path / "run" / one["trial"])
        run.keep_history([{"step": 2.0, "val_loss": 1.0}, {"step": 4.0, "val_loss": 0.5}])
        for name in ("model.json", "model.safetensors"):
            (run.folder / name).touch()
    out = tmp_path / "out"
    write_sweep(rows, tmp_path / "run", out)
    read = pd.read_parquet(out / "sweep.parquet")
    assert read["ratio"].tolist() == [0.5, 0.2, 0.3]
    assert (out / "ranking.csv").read_text().splitlines()[1].startswith("1,b,0.2,,,1,1,0")
    draw_sweep(out, tmp_path / "drawn")
    for name in PLOTS:
        assert np.array(Image.open(tmp_path / "drawn" / name)).std() > 0
