"""Stage `clicker`: train the one-click teacher on Ray Train."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.spool import shard_inputs, spool_of
from maskspace.training.click_task import make_click_task
from maskspace.training.config import ClickerConfig
from maskspace.training.export import export_training
from maskspace.training.live import recorded
from maskspace.training.workers import fit_distributed
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/clicker`: weights, history, what the last validation looked at."""
    config = load_section(ClickerConfig, "clicker")
    work = work_folder("clicker")
    shards = Path("build/validate")
    make_task = partial(make_click_task, config, shards.resolve())
    spool = spool_of(work, experiment="clicker", name="clicker")
    spool.begin(asdict(config), inputs=shard_inputs(shards, config.data))
    with recorded({spool: work / "run"}), parallel.connect():
        fit_distributed(make_task, config.optimisation, work / "run", workers=config.workers)
    provenance = {"stage": "clicker", "data": config.data}
    out = work / "out"
    export_training(make_task(), work / "run", out, provenance=provenance)
    spool.made(out)
    publish(out, Path("build/clicker"))


if __name__ == "__main__":
    stage_main(main)
