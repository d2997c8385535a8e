"""Stage `objectives`: one training an objective, on the same data and budget."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.spool import shard_inputs
from maskspace.training.config import DistillConfig, ObjectivesConfig
from maskspace.training.each_objective import objective_trainings
from maskspace.training.live import begin_each, recorded
from maskspace.training.trainings import train_each
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/objectives/DATASET/NAME-seedSEED`: a model each, with its history."""
    config = load_section(ObjectivesConfig, "objectives")
    recipe = load_section(DistillConfig, "distill")
    shards = Path("build/validate")
    trainings = objective_trainings(recipe, config, shards.resolve())
    work = work_folder("objectives")
    inputs = shard_inputs(shards, config.datasets)
    spools = begin_each(trainings, work / "run", experiment="objectives", inputs=inputs)
    with recorded(spools), parallel.connect():
        train_each(
            trainings,
            work / "run",
            work / "out",
            map_trainings=partial(parallel.map_units, describe="objectives: trainings", fresh=True),
        )
    publish(work / "out", Path("build/objectives"))


if __name__ == "__main__":
    stage_main(main)
