"""What a killed training needs to go on: weights, optimiser and step in one file, atomically."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

CHECKPOINT, HISTORY, PICTURES = "checkpoint.pt", "history.jsonl", "pictures"


@dataclass(frozen=True)
class Progress:
    """Folder of one training run: its checkpoint, and the history and pictures of validations."""

    folder: Path

    def save(self, step: int, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Write the state after `step` steps."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{CHECKPOINT}.partial"
        state = {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
        torch.save(state, partial)
        os.replace(partial, self.folder / CHECKPOINT)

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Load the last state, if there is one, and return the number of steps it had done."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def restore_weights(self, model: nn.Module) -> None:
        """Load the last weights alone; ValueError if the run has saved none."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            raise ValueError(f"{path}: missing; the training has not come to its first validation")
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])

    def history(self) -> list[dict[str, float]]:
        """Return the rows written so far, one a validation."""
        path = self.folder / HISTORY
        if not path.exists():
            return []
        lines = path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def keep_history(self, upto: int) -> None:
        """Forget rows beyond step `upto`: a resumed run writes them again."""
        rows = [row for row in self.history() if row["step"] <= upto]
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{HISTORY}.partial"
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.replace(partial, self.folder / HISTORY)

    def append(self, row: dict[str, float]) -> None:
        """Add a row to the history."""
        with (self.folder / HISTORY).open("a") as file:
            file.write(json.dumps(row) + "\n")
