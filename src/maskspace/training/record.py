"""What rank 0 writes of a training: rows of history, pictures, checkpoints, the best weights."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from maskspace.shown import SHOWN
from maskspace.training.checkpoint import PICTURES, Progress
from maskspace.training.config import Optimisation
from maskspace.training.drawing import draw_shown
from maskspace.training.feed import Feed
from maskspace.training.learner import Learner
from maskspace.training.monitors import (
    WATCH_EVERY,
    collapse_verdict,
    has_stopped,
    mean_terms,
    no_keys,
    refuse_broken,
    validations_since_best,
)

LossRow = dict[str, float]


class TrainingRecord:
    """The history of a training in a folder.

    Nothing waits for the device but `validate`, `save` and `watch`. They raise ValueError, with the
    keys of the step's samples, if a term of any step since the last validation was NaN or infinite.
    The verdict of a collapse is written where the collapse begins, after the first WATCH_EVERY
    steps.

    Args:
        progress: the folder.
        rows: the rows of the history so far.
        optimisation: the recipe.
        feed: the batches; it knows how long the training waits for them.
        report: called with each row, those so far first.
        start: step of the checkpoint that the training goes on from (default 0).
        keys: returns the keys of the samples of a step, counted from 0 (default: none).

    Example:
        >>> import tempfile
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> model, rows = nn.Linear(1, 1), []
        >>> terms = lambda model, batch: {"square": model(batch).square().mean()}
        >>> learner = Learner(model, terms, recipe, wrap=lambda model: model, averages=False)
        >>> feed = Feed(iter, range(4), rows=[range(2)], loaders=0, device=torch.device("cpu"))
        >>> progress = Progress(Path(tempfile.mkdtemp()))
        >>> record = TrainingRecord(progress, [], recipe, feed=feed, report=rows.append)
        >>> record.count(1, {"loss": torch.tensor(0.5)})
        >>> record.count(2, {"loss": torch.tensor(0.3)})
        >>> record.validate(learner, lambda model, shown: {"val_loss": 0.25})
        >>> rows[0]["step"], round(rows[0]["train_loss"], 2), rows[0]["val_loss"]
        (2.0, 0.4, 0.25)
    """

    def __init__(
        self,
        progress: Progress,
        rows: list[LossRow],
        optimisation: Optimisation,
        *,
        feed: Feed,
        report: Callable[[LossRow], None],
        start: int = 0,
        keys: Callable[[int], Sequence[str]] = no_keys,
    ) -> None:
        self._progress, self._rows, self._recipe = progress, list(rows), optimisation
        self._feed, self._report, self._keys = feed, report, keys
        self._verdict: str | None = None
        self._begin_window()
        self._saved = self._begun
        progress.keep_history(rows, start=start)
        for row in rows:
            report(row)

    def count(self, done: int, terms: dict[str, Tensor]) -> None:
        """Take the terms of a step; `done` is the number of steps done with it."""
        self._done = done
        self._seen.append(terms)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved > self._recipe.checkpoint_seconds

    @property
    def is_over(self) -> bool:
        """Whether the training is to stop early."""
        return has_stopped(self._rows, self._recipe.early_stop)

    def save(self, learner: Learner) -> None:
        """Write a checkpoint."""
        self._refuse_broken()
        self._progress.save(self._done, learner.state)
        self._saved = time.monotonic()

    def validate(self, learner: Learner, figures: Callable[[nn.Module, Path], LossRow]) -> None:
        """Add a row with the figures of the model to the history, and write a checkpoint."""
        self._refuse_broken()
        row = {f"train_{name}": value for name, value in mean_terms(self._seen).items()}
        trained = time.monotonic() - self._begun
        folder, name = self._progress.folder, f"step-{self._done:07d}"
        shown = folder / f"{name}.npz"
        model = learner.model.eval()
        with torch.inference_mode():
            row |= figures(model, shown)
        if shown.is_file():
            draw_shown(shown, folder / PICTURES / f"{name}.png")
            shown.replace(folder / SHOWN)
        row |= self._pace(trained)
        self._begin_window()
        self._rows.append(row)
        self._judge(row)
        if self._recipe.early_stop:
            row["since_best"] = float(validations_since_best(self._rows, self._recipe.early_stop))
            if not row["since_best"]:
                self._progress.save_best(self._done, model)
        self._progress.append(row)
        self.save(learner)
        self._report(row)

    def watch(self, learner: Learner, figures: Callable[[nn.Module], Mapping[str, float]]) -> None:
        """Check for a collapse, and for a broken term, between validations."""
        self._refuse_broken()
        with torch.inference_mode():
            self._judge(figures(learner.model.eval()))

    def _judge(self, figures: Mapping[str, float]) -> None:
        if self._done < WATCH_EVERY:  # a fresh network is nearly constant too
            return
        verdict = collapse_verdict(figures)
        if verdict is not None and self._verdict is None:
            self._progress.add_verdict(self._done, verdict)
        self._verdict = verdict

    def _begin_window(self) -> None:
        self._seen: list[dict[str, Tensor]] = []
        self._begun, self._waited = time.monotonic(), self._feed.waited

    def _refuse_broken(self) -> None:
        if self._seen:
            first = self._done - len(self._seen) + 1
            refuse_broken(self._seen, first=first, keys=self._keys)

    def _pace(self, trained: float) -> LossRow:
        """Return step and pace; images a second count validations, which are part of the time."""
        elapsed = max(time.monotonic() - self._begun, 1e-9)
        return {
            "step": float(self._done),
            "learning_rate": self._recipe.rate(self._done - 1),
            "images_per_second": len(self._seen) * self._recipe.batch / elapsed,
            "wait_share": (self._feed.waited - self._waited) / max(trained, 1e-9),
            "seconds": elapsed,
        }
