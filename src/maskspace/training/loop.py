"""The training loop, alone or as one of several workers; it knows no dataset and no model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from maskspace.config import Choice
from maskspace.data.memory import keep_freed_memory
from maskspace.training.checkpoint import Progress
from maskspace.training.config import Optimisation
from maskspace.training.feed import Feed, FeedPart, share_of
from maskspace.training.learner import Learner
from maskspace.training.monitors import WATCH_EVERY, has_stopped, no_keys
from maskspace.training.record import LossRow, TrainingRecord

Batch = TypeVar("Batch")


def _alone(model: nn.Module) -> nn.Module:
    return model


@dataclass(frozen=True)
class Worker:
    """One process of those that train together.

    rank: its number, from 0.
    world: number of processes.
    loaders: processes that prepare its batches; 0: it prepares them itself.
    device: where it computes.
    wrap: returns a model that averages its gradients with those of the others.
    agree: returns to every worker the answer that rank 0 gave.

    Example:
        >>> Worker(rank=1, world=2).device
        device(type='cpu')
    """

    rank: int = 0
    world: int = 1
    loaders: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = _alone
    agree: Callable[[bool], bool] = bool


@runtime_checkable
class Task(Protocol[Batch]):
    """What is trained: a model, its batches, its loss terms, its validation.

    Example:
        >>> class Mean:  # learns the mean of 0 and 1
        ...     def build(self):
        ...         return nn.Linear(1, 1)
        ...     def batches(self, parts):
        ...         return (torch.tensor([[0.0], [1.0]]) for _ in parts)
        ...     def terms(self, model, batch):
        ...         return {"square": (model(0 * batch) - batch).square().mean()}
        ...     def validate(self, model, shown):
        ...         return {"val_error": abs(model(torch.zeros(1, 1)).item() - 0.5)}
        >>> isinstance(Mean(), Task)
        True
    """

    def build(self) -> nn.Module:
        """Return the model with fresh weights, the same for the same seed."""
        ...

    def batches(self, parts: Iterable[FeedPart]) -> Iterator[Batch]:
        """Yield the rows of each part: they depend on (seed, step, row) alone."""
        ...

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loss terms, weighted; their sum is minimised."""
        ...

    def validate(self, model: nn.Module, shown: Path) -> LossRow:
        """Return figures on held-out images; write some of the images to `shown` (`keep_shown`)."""
        ...


@runtime_checkable
class Watched(Protocol):
    """A task whose model can be checked for a collapse between validations.

    Example:
        >>> class Spread:
        ...     def watch(self, model):
        ...         return {"std": 0.2}
        >>> isinstance(Spread(), Watched)
        True
    """

    def watch(self, model: nn.Module) -> Mapping[str, float]:
        """Return the figures that `collapse_verdict` takes; this must be cheap."""
        ...


@runtime_checkable
class Keyed(Protocol):
    """A task that knows the samples of a step.

    Example:
        >>> class Numbered:
        ...     def keys(self, step):
        ...         return [f"rectangles/{2 * step}", f"rectangles/{2 * step + 1}"]
        >>> isinstance(Numbered(), Keyed)
        True
    """

    def keys(self, step: int) -> Sequence[str]:
        """Return the keys of the samples of a step's batch."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A task that knows the values on which the order of its samples depends.

    Example:
        >>> class Fixed:
        ...     sequence = {"seed": 0, "batch": 4}
        >>> isinstance(Fixed(), Ordered)
        True
    """

    @property
    def sequence(self) -> Mapping[str, object]:
        """Return these values by name: a run does not go on with other ones."""
        ...


@runtime_checkable
class Counted(Protocol[Batch]):
    """A task that counts something in its batches.

    Example:
        >>> class Counting:
        ...     def counts(self, batch):
        ...         return {"masks": torch.tensor(3.0)}
        >>> isinstance(Counting(), Counted)
        True
    """

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalars that go into the history as `train_NAME`, and into no loss."""
        ...


@runtime_checkable
class NamedTask(Task[Batch], Protocol[Batch]):
    """A task whose model can be written down, and so exported.

    Example:
        >>> from maskspace.training.embedding_task import EmbeddingTask
        >>> isinstance(EmbeddingTask.model, property)  # a Choice of MODELS, with its options
        True
    """

    @property
    def model(self) -> Choice:
        """Return the entry of MODELS that is trained, with all its options."""
        ...


def fit(
    task: Task,
    optimisation: Optimisation,
    folder: Path,
    *,
    worker: Worker | None = None,
    report: Callable[[LossRow], None] = lambda row: None,
    on_step: Callable[[int], None] = lambda done: None,
) -> nn.Module:
    """Train from the last checkpoint in `folder`, or from the start, and return the model.

    The batch and the dropout of a step depend on (seed, step, worker) alone, so that a resumed run
    makes the same steps as an unbroken one. Rank 0 validates and writes checkpoints, history and
    pictures. The weights returned are those that `export_training` exports.

    Results differ a little with the number of workers and of parts of a batch: in the order of
    sums, and in batch statistics, which are taken over the rows of a part.

    Args:
        task: what is trained.
        optimisation: the recipe.
        folder: holds the progress.
        worker: this process among those that train (default None: it trains alone).
        report: called by rank 0 with each row of the history (default: nothing).
        on_step: called by rank 0 after each step with the number of steps done (default: nothing).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> class Mean:  # learns the mean of 0 and 1
        ...     def build(self):
        ...         return nn.Linear(1, 1)
        ...     def batches(self, parts):
        ...         return (torch.tensor([[0.0], [1.0]]) for _ in parts)
        ...     def terms(self, model, batch):
        ...         return {"square": (model(0 * batch) - batch).square().mean()}
        ...     def validate(self, model, shown):
        ...         return {"val_error": abs(model(torch.zeros(1, 1)).item() - 0.5)}
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> rows = []
        >>> _ = fit(Mean(), recipe, folder, report=rows.append)
        >>> [row["step"] for row in rows]  # a row a validation
        [2.0, 4.0]
        >>> _ = fit(Mean(), recipe, folder, report=rows.append)  # nothing is left to train
        >>> rows[2:] == rows[:2]
        True
    """
    worker = worker or Worker()
    keep_freed_memory()
    torch.manual_seed(optimisation.seed)
    learner = _learner(task, optimisation, worker)
    progress = Progress(folder, task.sequence if isinstance(task, Ordered) else {})
    start = progress.restore(learner.state)
    rows = [row for row in progress.history() if row["step"] <= start]
    is_over = has_stopped(rows, optimisation.early_stop)
    steps = range(start, start if is_over else optimisation.steps)
    feed = _feed(task, steps, optimisation, worker)
    record = None
    if worker.rank == 0:
        record = TrainingRecord(
            progress,
            rows,
            optimisation,
            feed=feed,
            report=report,
            start=start,
            keys=task.keys if isinstance(task, Keyed) else no_keys,
        )
    for step in steps:
        torch.manual_seed(hash((optimisation.seed, step, worker.rank)) % 2**63)
        terms = learner.step(step, islice(feed, optimisation.accumulate))
        if record is not None:
            record.count(step + 1, terms)
            on_step(step + 1)
        if (step + 1) % optimisation.validate_every == 0 or step + 1 == optimisation.steps:
            if record is not None:
                record.validate(learner, task.validate)
            if optimisation.early_stop and worker.agree(record is not None and record.is_over):
                break
            continue
        if record is None:
            continue
        if (step + 1) % WATCH_EVERY == 0 and isinstance(task, Watched):
            record.watch(learner, task.watch)
        if record.is_due:
            record.save(learner)
    if record is not None:
        progress.restore_weights(learner.live)
    return learner.live.eval()


def _learner(task: Task, optimisation: Optimisation, worker: Worker) -> Learner:
    return Learner(
        task.build().to(worker.device),
        task.terms,
        optimisation,
        wrap=worker.wrap,
        averages=worker.rank == 0,
        counts=task.counts if isinstance(task, Counted) else None,
    )


def _feed(task: Task, steps: range, optimisation: Optimisation, worker: Worker) -> Feed:
    rows = share_of(
        optimisation.batch,
        rank=worker.rank,
        world=worker.world,
        accumulate=optimisation.accumulate,
    )
    return Feed(task.batches, steps, rows=rows, loaders=worker.loaders, device=worker.device)
