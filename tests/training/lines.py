"""The smallest thing to train: a line through points, with validations that say what is asked."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskspace.config import Choice
from maskspace.training.config import Optimisation
from maskspace.training.feed import FeedPart
from maskspace.training.loop import Task

#: The step at which patient trials wait.
WAITS_AT = 3


class Points(NamedTuple):
    x: Float[Tensor, "b 3"]
    y: Float[Tensor, "b 1"]


@dataclass(frozen=True)
class LineTask:
    """`scores[n]` is what the n-th validation says; by default how close the line is."""

    batch_size: int
    every: int = 1
    scores: Sequence[float] = ()
    slope: float = 1.0

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def batches(self, parts: Iterable[FeedPart]) -> Iterator[Points]:
        return (self.points(step, rows) for step, rows in parts)

    def points(self, step: int, rows: range) -> Points:
        whole = torch.Generator().manual_seed(step)
        x = torch.randn(self.batch_size, 3, generator=whole)[rows.start : rows.stop]
        return Points(x, self.slope * x.sum(1, keepdim=True))

    def terms(self, model: nn.Module, batch: Points) -> dict[str, Tensor]:
        error = model(batch.x) - batch.y
        return {"square": error.square().mean(), "absolute": 0.1 * error.abs().mean()}

    def validate(self, model: nn.Module, shown: Path) -> dict[str, float]:
        batch = self.points(0, range(self.batch_size))
        with torch.no_grad():
            row = {"val_loss": float(torch.stack(list(self.terms(model, batch).values())).sum())}
        if self.scores:
            number = int(shown.stem.removeprefix("step-")) // self.every - 1
            row["val_score"] = self.scores[number]
        return row


@dataclass(frozen=True)
class SweptTask(LineTask):
    """A line of the slope that an objective named `line` is asked for; what it does is logged.

    The steeper, the slower it is learnt, by its own first loss. `log/steps` gains a line a batch,
    `NAME STEP PROCESS`. At step `WAITS_AT` those that are `patient` wait for the file `log/gate`,
    and at their first step all wait until `meets` of them have begun.
    """

    name: str = ""
    log: Path = Path()
    patient: bool = False
    meets: int = 1

    @property
    def model(self) -> Choice:
        return Choice(name="line", options={})

    def points(self, step: int, rows: range) -> Points:
        while self.patient and step == WAITS_AT and not (self.log / "gate").exists():
            time.sleep(0.05)
        with (self.log / "steps").open("a") as file:
            file.write(f"{self.name} {step} {os.getpid()}\n")
        while len({name for name, _, _ in logged(self.log)}) < self.meets:
            time.sleep(0.05)
        return super().points(step, rows)

    def validate(self, model: nn.Module, shown: Path) -> dict[str, float]:
        seen = LineTask(self.batch_size, slope=self.slope).validate(model, shown)  # logs no step
        return seen | {"val_collapsed": 0.0}


def batch_of(task: Task, step: int, rows: range) -> Any:
    """Return these rows of a task's batch of a step."""
    return next(task.batches([(step, rows)]))


def logged(log: Path) -> list[tuple[str, int, int]]:
    """Return the lines of `log/steps`: trial, step, process."""
    if not (log / "steps").exists():
        return []
    lines = (log / "steps").read_text().splitlines(keepends=True)
    read = (line.split() for line in lines if line.endswith("\n"))
    return [(name, int(step), int(process)) for name, step, process in read]


def swept_task(
    objective: Choice, optimisation: Optimisation, *, log: Path, meets: int = 1
) -> SweptTask:
    """Return the task of a trial; those of slope 2 and above are patient."""
    slope = objective.options["slope"]
    return SweptTask(
        batch_size=optimisation.batch,
        slope=slope,
        name=f"line-slope{slope:g}-seed{optimisation.seed}",
        log=log,
        patient=slope >= 2,
        meets=meets,
    )
