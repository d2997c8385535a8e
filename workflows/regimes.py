"""Stage `regimes`: the clicker's regimes and losses, each trained on the same budget."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.spool import shard_inputs
from maskspace.training.config import ClickerConfig, RegimesConfig
from maskspace.training.live import begin_each, recorded
from maskspace.training.regimes import regime_trainings
from maskspace.training.trainings import train_each
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/regimes/DATASET/REGIME`: a clicker each, with its history."""
    config = load_section(RegimesConfig, "regimes")
    shards = Path("build/validate")
    recipe = load_section(ClickerConfig, "clicker")
    trainings = regime_trainings(recipe, config, shards.resolve())
    work = work_folder("regimes")
    inputs = shard_inputs(shards, config.datasets)
    spools = begin_each(trainings, work / "run", experiment="regimes", inputs=inputs)
    with recorded(spools), parallel.connect():
        train_each(
            trainings,
            work / "run",
            work / "out",
            map_trainings=partial(parallel.map_units, describe="regimes: trainings"),
        )
    publish(work / "out", Path("build/regimes"))


if __name__ == "__main__":
    stage_main(main)
