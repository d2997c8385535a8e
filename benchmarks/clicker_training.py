"""What our training loop and Ray Train cost: against a bare torch loop, in the same run.

    python -m benchmarks.clicker training [--turns 5 --steps 60 --workers 1 2]

Both train the clicker of params.yaml from the same batches in memory, one thread a worker: alone,
and as two workers that average gradients by DDP over gloo. Prints images a second of each and the
ratio ours/bare, medians over turns that follow each other, by the clock and by the CPU time of a
worker, which says the same on a busy machine; the goal is 0.95. The bare loop takes its batches,
terms, gradient, clipping and AdamW, nothing else; ours writes a row and a checkpoint as well.
"""

import argparse
import os
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data import READERS
from maskspace.data.memory import keep_freed_memory
from maskspace.data.stream import Mixture
from maskspace.training.checkpoint import Progress
from maskspace.training.click_task import ClickBatch, ClickTask
from maskspace.training.config import ClickerConfig, Optimisation, Workers
from maskspace.training.feed import FeedPart
from maskspace.training.workers import fit_distributed

STORED = 8


@dataclass(frozen=True)
class StoredTask(ClickTask):
    """The clicker's task with batches made before."""

    stored: tuple[ClickBatch, ...] = ()

    def batches(self, parts: Iterable[FeedPart]) -> Iterator[ClickBatch]:
        """Yield rows of stored batches."""
        for step, rows in parts:
            whole = self.stored[step % len(self.stored)]
            yield ClickBatch(*(part[rows.start : rows.stop] for part in whole))

    def validate(self, model: nn.Module, shown: Path) -> dict[str, float]:
        """Return nothing worth the time but the CPU seconds of this process so far."""
        return {"val_cpu": time.process_time()}


def stored_task() -> StoredTask:
    """Return the task of params.yaml on generated rectangles."""
    config = load_section(ClickerConfig, "clicker")
    source = READERS["rectangles"]("", seed=0, limit=64)
    mixture = Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})
    task = ClickTask(config=config, train=mixture, held_out=mixture)
    rows = range(config.optimisation.batch)
    stored = tuple(task.batches((step, rows) for step in range(STORED)))
    nothing = Mixture(datasets={}, weights={})
    return StoredTask(config=config, train=nothing, held_out=nothing, stored=stored)


class Speed(NamedTuple):
    """Images a second, by the clock and by the CPU time of a worker for its own images."""

    by_clock: float
    by_cpu: float


def bare(task: StoredTask, steps: int, world: int, folder: Path) -> Speed:
    """Return the speed of a bare loop in `world` processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = folder / "bare.txt"
    spawn(_bare, (task, steps, world, port, out), nprocs=world)
    return Speed(*map(float, out.read_text().split()))


def _bare(rank: int, task: StoredTask, steps: int, world: int, port: int, out: Path) -> None:
    os.setsid()  # Linux shares its CPUs between sessions, and Ray's workers have their own
    keep_freed_memory()
    torch.set_num_threads(1)
    recipe = task.config.optimisation
    torch.manual_seed(recipe.seed)
    model = task.build().train()
    if world > 1:
        address = f"tcp://127.0.0.1:{port}"
        distributed.init_process_group("gloo", address, rank=rank, world_size=world)
        model = DistributedDataParallel(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)
    share = recipe.batch // world
    rows, begin, cpu = range(rank * share, (rank + 1) * share), 0.0, 0.0
    for step in range(2 * steps):
        if step == steps:
            begin, cpu = time.perf_counter(), time.process_time()
        (batch,) = task.batches([(step, rows)])
        loss = torch.stack(list(task.terms(model, batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimiser.step()
    if rank == 0:
        seconds, busy = time.perf_counter() - begin, time.process_time() - cpu
        out.write_text(f"{steps * recipe.batch / seconds} {steps * share / busy}")
    if world > 1:
        distributed.destroy_process_group()


def ours(task: StoredTask, recipe: Optimisation, world: int, folder: Path) -> Speed:
    """Return the speed of `fit_distributed` between the two validations of a recipe."""
    workers = Workers(number=world, threads=1, loaders=0, gpu=False)
    fit_distributed(partial(_same, task), recipe, folder / "run", workers=workers)
    first, last = Progress(folder / "run").history()
    images = recipe.validate_every * recipe.batch / world
    return Speed(last["images_per_second"], images / (last["val_cpu"] - first["val_cpu"]))


def _same(task: StoredTask) -> StoredTask:
    return task


def show_training(options: argparse.Namespace) -> None:
    """Print images a second of both with one and with two workers, and their ratio."""
    task, steps = stored_task(), options.steps
    recipe = replace(task.config.optimisation.shortened(2 * steps, steps), checkpoint_seconds=1e9)
    print("workers  turn  bare images/s  ours images/s  ours/bare  ours/bare by CPU time")
    with parallel.connect():
        for world in options.workers:
            ratios = []
            for turn in range(options.turns):
                with tempfile.TemporaryDirectory() as scratch:
                    plain = bare(task, steps, world, Path(scratch))
                    full = ours(task, recipe, world, Path(scratch))
                ratios.append([a / b for a, b in zip(full, plain, strict=True)])
                print(
                    f"{world:7} {turn + 1:5} {plain.by_clock:14.1f} {full.by_clock:14.1f} "
                    f"{ratios[-1][0]:10.3f} {ratios[-1][1]:22.3f}",
                    flush=True,
                )
            by_clock, by_cpu = (median(kind) for kind in zip(*ratios, strict=True))
            print(f"{world:7}  median {by_clock:.3f}, by CPU time {by_cpu:.3f}  (goal 0.95)")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Let `training` choose how long."""
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
