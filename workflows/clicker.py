"""Stage `clicker`: train the one-click teacher on Ray Train."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.training.click_task import make_click_task
from maskspace.training.config import ClickerConfig
from maskspace.training.export import export_training, record_training
from maskspace.training.workers import fit_distributed
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/clicker`: weights, history, what the last validation looked at."""
    config = load_section(ClickerConfig, "clicker")
    work = work_folder("clicker")
    make_task = partial(make_click_task, config, Path("build/validate").resolve())
    with parallel.connect():
        fit_distributed(make_task, config.optimisation, work / "run", workers=config.workers)
    provenance = {"stage": "clicker", "data": config.data}
    out = work / "out"
    history = export_training(make_task(), work / "run", out, provenance=provenance)
    record_training("clicker", "clicker", work / "run", history, params=asdict(config))
    publish(out, Path("build/clicker"))


if __name__ == "__main__":
    stage_main(main)
