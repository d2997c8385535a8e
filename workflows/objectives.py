"""Stage `objectives`: one training an objective, on the same data and budget."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.training.config import DistillConfig, ObjectivesConfig
from maskspace.training.each_objective import objective_trainings
from maskspace.training.trainings import train_each
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/objectives/DATASET/NAME-seedSEED`: a model each, with its history."""
    config = load_section(ObjectivesConfig, "objectives")
    recipe = load_section(DistillConfig, "distill")
    work = work_folder("objectives")
    with parallel.connect():
        train_each(
            objective_trainings(recipe, config, Path("build/validate").resolve()),
            work / "run",
            work / "out",
            map_trainings=partial(parallel.map_units, describe="objectives: trainings", fresh=True),
        )
    publish(work / "out", Path("build/objectives"))


if __name__ == "__main__":
    stage_main(main)
