"""A training whose process is killed goes on as if nothing had happened."""

import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskspace.data.manifest import write_manifest
from maskspace.data.shards import write_shard
from maskspace.data.stream import open_mixture
from maskspace.training.click_task import ClickBatch, ClickTask
from maskspace.training.config import Optimisation
from maskspace.training.loop import Worker, fit

STEPS = 12


@dataclass(frozen=True)
class Telling(ClickTask):
    """The clicker's task; a line is added to a file at every step."""

    log: Path = Path()

    def terms(self, model: nn.Module, batch: ClickBatch) -> dict[str, Tensor]:
        with self.log.open("a") as file:
            file.write(f"{batch.positions.tolist()}\n")
        return super().terms(model, batch)


@pytest.fixture
def task(click_config, optimisation, rectangles, tmp_path) -> Telling:
    """Samples in shards, a checkpoint after every step."""
    samples = list(rectangles.datasets["rectangles"])
    folder = tmp_path / "shards" / "rectangles"
    facts = [
        write_shard(folder / f"{split}-{number:06d}.tar", samples[number::2])
        for split in ("train", "val")
        for number in range(2)
    ]
    write_manifest(folder, facts, dataset="rectangles", details={})
    recipe = replace(
        optimisation, steps=STEPS, validate_every=5, accumulate=2, checkpoint_seconds=0.0
    )
    train, held_out = (
        open_mixture(tmp_path / "shards", {"rectangles": 1.0}, split) for split in ("train", "val")
    )
    config = replace(click_config, optimisation=recipe)
    return Telling(config=config, train=train, held_out=held_out, log=tmp_path / "log")


def train(task: Telling, recipe: Optimisation, folder: Path, loaders: int) -> nn.Module:
    return fit(task, recipe, folder, worker=Worker(loaders=loaders))


def lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_training_killed_at_a_random_step_has_the_weights_of_the_unbroken_one(
    seed, task, tmp_path
):
    recipe = task.config.optimisation
    unbroken = train(task, recipe, tmp_path / "unbroken", 0)
    task.log.unlink()
    kill_at = int(np.random.default_rng(seed).integers(2, recipe.accumulate * (STEPS - 1)))
    arguments = (task, recipe, tmp_path / "killed", 2)
    process = multiprocessing.get_context("spawn").Process(target=train, args=arguments)
    process.start()
    while lines(task.log) < kill_at and process.is_alive():
        process.join(0.002)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resumed = train(task, recipe, tmp_path / "killed", 1)
    assert lines(task.log) < 2 * recipe.accumulate * STEPS  # it did not begin again
    pairs = zip(unbroken.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
