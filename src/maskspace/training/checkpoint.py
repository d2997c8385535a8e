"""What a killed training needs to go on: weights, optimiser and step, in one file.

The file appears whole or not at all. The checkpoint before the last is kept beside it: a last one
that is damaged, which its checksums tell, costs the steps between the two and not the training.
"""

import json
import pickle
import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from maskspace.files import appearing, write_whole

CHECKPOINT, BEST, HISTORY, PICTURES = "checkpoint.pt", "best.pt", "history.jsonl", "pictures"
#: The checkpoint before the last.
BEFORE = "checkpoint.before.pt"
VERDICTS = "verdicts.jsonl"


#: What torch can store and take up again.
Stateful = nn.Module | torch.optim.Optimizer


@dataclass(frozen=True)
class Progress:
    """Folder of one training run: its checkpoint, and the history and pictures of its validations.

    A run that may stop early also keeps the weights of its best validation.

    folder: the folder.
    sequence: by name, the values that decide which samples come when. A run does not go on from a
        checkpoint that has other values (default: none are checked).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> progress, model = Progress(folder), nn.Linear(2, 1)
        >>> progress.restore({"model": model})  # nothing is stored: begin at step 0
        0
        >>> progress.save(10, {"model": model})
        >>> progress.restore({"model": nn.Linear(2, 1)})
        10
        >>> progress.append({"step": 10.0, "val_loss": 0.5})
        >>> progress.history()
        [{'step': 10.0, 'val_loss': 0.5}]
    """

    folder: Path
    sequence: Mapping[str, object] = field(default_factory=dict)

    def save(self, step: int, state: Mapping[str, Stateful]) -> None:
        """Write the state after `step` steps."""
        parts = {name: part.state_dict() for name, part in state.items()}
        self._write(CHECKPOINT, {"step": step, "sequence": dict(self.sequence), **parts})

    def save_best(self, step: int, model: nn.Module) -> None:
        """Write the weights after `step` steps as the best so far."""
        self._write(BEST, {"step": step, "model": model.state_dict()})

    def restore(self, state: Mapping[str, Stateful]) -> int:
        """Load the last state, if there is one, and return the number of steps it had done."""
        stored = self._read_checkpoint()
        if stored is None:
            return 0
        self._refuse_other(stored.get("sequence", {}))
        for name, part in state.items():
            if name not in stored:
                raise ValueError(
                    f"{self.folder / CHECKPOINT}: written by another recipe, without {name}; "
                    "remove the folder to begin again"
                )
            part.load_state_dict(stored[name])
        return int(stored["step"])

    def _refuse_other(self, sequence: Mapping[str, object]) -> None:
        for name, value in self.sequence.items():
            if sequence.get(name) != value:
                raise ValueError(
                    f"{self.folder / CHECKPOINT}: read its samples in another order, by {name} "
                    f"{sequence.get(name)}, now {value}; remove the folder to begin again"
                )

    def restore_weights(self, model: nn.Module) -> int:
        """Load the weights that are the run's result; return the number of steps that they had.

        They are the best ones if the run may stop early, else the last ones; averaged if it
        averages. ValueError if the run has saved none.
        """
        stored = self._read(BEST) or self._read_checkpoint()
        if stored is None:
            path = self.folder / CHECKPOINT
            raise ValueError(f"{path}: missing; the training has not come to its first validation")
        model.load_state_dict(stored.get("average", stored["model"]))
        return int(stored["step"])

    def history(self) -> list[dict[str, float]]:
        """Return the rows written so far, one a validation."""
        return self._lines(HISTORY)

    def verdicts(self) -> list[dict]:
        """Return the verdicts: the `step` at which each begins, and the `verdict` in words."""
        return self._lines(VERDICTS)

    def _lines(self, name: str) -> list[dict]:
        path = self.folder / name
        if not path.exists():
            return []
        lines = path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def keep_history(self, rows: list[dict[str, float]], *, start: int = 0) -> None:
        """Keep only these rows of the history, and the verdicts up to step `start`.

        A resumed run writes the later ones again.
        """
        verdicts = [verdict for verdict in self.verdicts() if verdict["step"] <= start]
        for name, lines in ((HISTORY, rows), (VERDICTS, verdicts)):
            write_whole(self.folder / name, "".join(json.dumps(line) + "\n" for line in lines))

    def add_verdict(self, step: int, verdict: str) -> None:
        """Add a verdict."""
        with (self.folder / VERDICTS).open("a") as file:
            file.write(json.dumps({"step": step, "verdict": verdict}) + "\n")

    def append(self, row: dict[str, float]) -> None:
        """Add a row to the history."""
        with (self.folder / HISTORY).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        path = self.folder / name
        with appearing(path) as partial:
            try:
                torch.save(content, partial)
            except RuntimeError as error:  # what torch makes of a full disk
                free = shutil.disk_usage(self.folder).free / 2**20
                raise ValueError(
                    f"{path}: cannot be written, {free:.0f} MB are free on its disk ({error}); "
                    "make room and run again: what was written before is kept"
                ) from None
            if name == CHECKPOINT and path.exists():
                path.replace(self.folder / BEFORE)

    def _read_checkpoint(self) -> dict | None:
        """Return the last checkpoint, or the one before it where the last is damaged or missing."""
        try:
            stored = self._read(CHECKPOINT)
        except ValueError as error:
            stored = self._read(BEFORE)
            if stored is None:
                raise
            sys.stderr.write(f"{error}; goes on from step {stored['step']} before it\n")
            return stored
        return self._read(BEFORE) if stored is None else stored

    def _read(self, name: str) -> dict | None:
        """Return what a file holds, None without one; ValueError for one that is damaged."""
        path = self.folder / name
        if not path.exists():
            return None
        try:
            with zipfile.ZipFile(path) as parts:
                broken = parts.testzip()  # torch itself passes over checksums
            if broken is None:
                return torch.load(path, map_location="cpu", weights_only=True)
        except (zipfile.BadZipFile, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            broken = str(error).splitlines()[0]
        raise ValueError(f"{path}: damaged ({broken})")
