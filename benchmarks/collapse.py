"""Whether the plain push-pull goes constant, and how soon the monitor says so.

    OMP_NUM_THREADS=1 python -m benchmarks.collapse [--only "plain, pull x100"]
        [--seeds 5 --steps 200 --batch 16]

The research notes saw it with the pull as strong as the push, and with the push a hundred times as
strong. Trains the student of params.yaml on rectangles, by `plain` both ways, with the pull a
hundred times as strong, and by `balls` beside them, on several seeds each; looks at the outputs
every ten steps. Prints per seed: the least standard deviation of a level at the end, the step at
which it first was below the floor (the start of the collapse), the step at which the training's
monitor named a collapse, and how. Goal: at most 100 steps between the two.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from maskspace.config import Choice, load_section
from maskspace.data import READERS
from maskspace.data.stream import Mixture
from maskspace.training.checkpoint import VERDICTS
from maskspace.training.config import DistillConfig
from maskspace.training.embedding_task import EmbeddingTask
from maskspace.training.loop import fit
from maskspace.training.monitors import STD_FLOOR

WAYS = {
    "plain": Choice(name="plain", options={}),
    "plain, push x100": Choice(name="plain", options={"pull_weight": 0.01}),
    "plain, pull x100": Choice(name="plain", options={"pull_weight": 100.0}),
    "balls": Choice(name="balls", options={}),
}
EVERY = 10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collapse", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, help="images a step; default as params.yaml")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_section(DistillConfig, "distill")
    if options.batch:
        recipe = replace(recipe, optimisation=replace(recipe.optimisation, batch=options.batch))
    images = READERS["rectangles"]("", seed=0, limit=400)
    data = Mixture(datasets={"rectangles": images}, weights={"rectangles": 1.0})
    print("objective         seed  least std  constant at  named at  verdict")
    for name in options.only:
        objective = WAYS[name]
        for seed in range(options.seeds):
            optimisation = replace(recipe.optimisation.shortened(options.steps, EVERY), seed=seed)
            config = replace(recipe, optimisation=optimisation, validation_images=16)
            task = EmbeddingTask(config=config, objective=objective, train=data, held_out=data)
            print(f"{name:17} {seed:4}  {collapse(task)}", flush=True)


def collapse(task: EmbeddingTask) -> str:
    """Train, and return what became of it as columns of the table."""
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        fit(task, task.config.optimisation, Path(folder), report=rows.append)
        told = Path(folder) / VERDICTS
        verdicts = (
            [json.loads(line) for line in told.read_text().splitlines()] if told.is_file() else []
        )
    least = least_std(rows[-1])
    begun = next((int(row["step"]) for row in rows if least_std(row) < STD_FLOOR), "-")
    named = verdicts[0]["step"] if verdicts else "-"
    verdict = verdicts[0]["verdict"].split(",")[0] if verdicts else "none"
    return f"{least:9.5f}  {begun:>11}  {named:>8}  {verdict}"


def least_std(row: dict[str, float]) -> float:
    """Return the standard deviation of the flattest level."""
    return min(value for key, value in row.items() if key.startswith("val_std"))


if __name__ == "__main__":
    main()
