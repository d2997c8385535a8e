"""The smallest thing to train: a line through points, with validations that say what is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Points(NamedTuple):
    x: Float[Tensor, "b 3"]
    y: Float[Tensor, "b 1"]


@dataclass(frozen=True)
class LineTask:
    """`scores[n]` is what the n-th validation says; by default how close the line is."""

    batch_size: int
    every: int = 1
    scores: Sequence[float] = ()

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def batch(self, step: int, rows: range) -> Points:
        whole = torch.Generator().manual_seed(step)
        x = torch.randn(self.batch_size, 3, generator=whole)[rows.start : rows.stop]
        return Points(x, x.sum(1, keepdim=True))

    def terms(self, model: nn.Module, batch: Points) -> dict[str, Tensor]:
        error = model(batch.x) - batch.y
        return {"square": error.square().mean(), "absolute": 0.1 * error.abs().mean()}

    def validate(self, model: nn.Module, picture: Path) -> dict[str, float]:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.touch()
        batch = self.batch(0, range(self.batch_size))
        with torch.no_grad():
            row = {"val_loss": float(torch.stack(list(self.terms(model, batch).values())).sum())}
        if self.scores:
            number = int(picture.stem.removeprefix("step-")) // self.every - 1
            row["val_score"] = self.scores[number]
        return row
