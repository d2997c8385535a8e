"""The training loop, alone or as one of several workers; it knows no dataset and no model."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from maskspace.data.memory import keep_freed_memory
from maskspace.training.checkpoint import PICTURES, Progress
from maskspace.training.config import Optimisation
from maskspace.training.monitors import mean_terms

Batch = TypeVar("Batch")
Row = dict[str, float]


def _alone(model: nn.Module) -> nn.Module:
    return model


@dataclass(frozen=True)
class Worker:
    """One process among the `world` that train together.

    `wrap` makes a model average its gradients with the others'; `loaders` processes prepare its
    batches, or itself if 0.
    """

    rank: int = 0
    world: int = 1
    loaders: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = _alone


@runtime_checkable
class Task(Protocol[Batch]):
    """What is trained: a model, its batches, its loss terms, its validation."""

    def build(self) -> nn.Module:
        """Return the model with fresh weights, the same for the same seed."""
        ...

    def batch(self, step: int, rows: range) -> Batch:
        """Return these rows of the batch of a step: a function of (seed, step, row) alone."""
        ...

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loss terms, weighted; their sum is minimised."""
        ...

    def validate(self, model: nn.Module, picture: Path) -> Row:
        """Return figures on held-out images and draw some of them in `picture`, a PNG."""
        ...


def fit(
    task: Task,
    optimisation: Optimisation,
    folder: Path,
    *,
    worker: Worker | None = None,
    report: Callable[[Row], None] = lambda row: None,
) -> nn.Module:
    """Train from the last checkpoint in `folder`, or from the start, and return the model.

    Every step's batch and dropout depend on (seed, step, worker) alone, so that a resumed run makes
    the steps of an unbroken one. Rank 0 validates, writes checkpoints, history and pictures, and
    calls `report` with each row of the history. Results differ with the number of workers in the
    order of sums and in batch statistics, which each worker takes over its own rows.
    """
    worker = worker or Worker()
    keep_freed_memory()
    torch.manual_seed(optimisation.seed)
    bare = task.build().to(worker.device)
    optimiser = _optimiser(bare, optimisation)
    progress = Progress(folder)
    start = progress.restore(bare, optimiser)
    model = worker.wrap(bare)
    if worker.rank == 0:
        progress.keep_history(start)
        for row in progress.history():
            report(row)
    seen: list[dict[str, Tensor]] = []
    saved = clock = time.monotonic()
    for step, batch in _batches(task, optimisation, start, worker):
        for group in optimiser.param_groups:
            group["lr"] = optimisation.rate(step)
        torch.manual_seed(hash((optimisation.seed, step, worker.rank)) % 2**63)
        seen.append(_step(task, model, batch, optimiser, optimisation.clip_norm))
        done = step + 1
        if worker.rank:
            continue
        if done % optimisation.validate_every == 0 or done == optimisation.steps:
            row = _validated(task, bare, seen, folder / PICTURES / f"step-{done:07d}.png")
            elapsed, clock = time.monotonic() - clock, time.monotonic()
            row |= _pace(done, len(seen), elapsed, optimisation)
            seen.clear()
            progress.append(row)
            progress.save(done, bare, optimiser)
            saved = clock
            report(row)
        elif time.monotonic() - saved > optimisation.checkpoint_seconds:
            progress.save(done, bare, optimiser)
            saved = time.monotonic()
    return bare.eval()


class _Steps(Dataset):
    """The batches of one worker, by step."""

    def __init__(self, task: Task, optimisation: Optimisation, worker: Worker) -> None:
        share = optimisation.batch // worker.world
        if share * worker.world != optimisation.batch:
            raise ValueError(f"batch {optimisation.batch} is no multiple of {worker.world} workers")
        self.task, self.rows = task, range(worker.rank * share, (worker.rank + 1) * share)

    def __getitem__(self, step: int) -> object:
        return self.task.batch(step, self.rows)


def _batches(
    task: Task, optimisation: Optimisation, start: int, worker: Worker
) -> Iterator[tuple[int, object]]:
    steps = range(start, optimisation.steps)
    dataset = _Steps(task, optimisation, worker)
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=worker.loaders,
        pin_memory=_on_gpu(worker),
    )
    for step, batch in zip(steps, loader, strict=True):
        yield step, _to(batch, worker.device)


def _on_gpu(worker: Worker) -> bool:
    return worker.device.type == "cuda"


def _to(batch: object, device: torch.device) -> object:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        return tuple.__new__(type(batch), [_to(item, device) for item in batch])
    return batch


def _optimiser(model: nn.Module, optimisation: Optimisation) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]  # biases, norms: no decay
    groups = [
        {"params": matrices, "weight_decay": optimisation.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=optimisation.learning_rate, betas=optimisation.betas)


def _step(
    task: Task, model: nn.Module, batch: object, optimiser: torch.optim.Optimizer, clip: float
) -> dict[str, Tensor]:
    model.train()
    terms = task.terms(model, batch)
    loss = torch.stack(list(terms.values())).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return {name: value.detach() for name, value in (terms | {"loss": loss, "norm": norm}).items()}


def _validated(task: Task, model: nn.Module, seen: list[dict[str, Tensor]], picture: Path) -> Row:
    means = mean_terms(seen)
    broken = [name for name, value in means.items() if math.isnan(value)]
    if broken:
        raise ValueError(f"training: {', '.join(broken)} became NaN; lower learning_rate")
    model.eval()
    with torch.inference_mode():
        figures = task.validate(model, picture)
    return {f"train_{name}": value for name, value in means.items()} | figures


def _pace(done: int, steps: int, seconds: float, optimisation: Optimisation) -> Row:
    return {
        "step": float(done),
        "learning_rate": optimisation.rate(done - 1),
        "images_per_second": steps * optimisation.batch / max(seconds, 1e-9),
        "seconds": seconds,
    }
