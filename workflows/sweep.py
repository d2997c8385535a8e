"""Stage `sweep`: the student's objectives and bandwidths against each other, on Ray Tune."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.spool import shard_inputs
from maskspace.training.config import DistillConfig, SweepConfig
from maskspace.training.embedding_task import make_sweep_task
from maskspace.training.sweep import sweep
from maskspace.training.sweep_record import record_sweep
from maskspace.training.sweep_tables import write_sweep
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/sweep`: a model a trial, tables of the trials."""
    config = load_section(SweepConfig, "sweep")
    recipe = load_section(DistillConfig, "distill")
    work = work_folder("sweep")
    shards = Path("build/validate")
    make_task = partial(make_sweep_task, config=recipe, shards=shards.resolve())
    with parallel.connect():
        rows = sweep(make_task, recipe, config, work / "run")
    write_sweep(rows, work / "run", work / "out")
    inputs = shard_inputs(shards, recipe.data)
    record_sweep(rows, work / "run", work / "out", params=asdict(config), inputs=inputs)
    publish(work / "out", Path("build/sweep"))


if __name__ == "__main__":
    stage_main(main)
