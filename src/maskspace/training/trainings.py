"""Several trainings by name, each on one worker, one after the other or in parallel."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from maskspace.files import write_whole
from maskspace.training.config import Optimisation, Workers
from maskspace.training.export import export_training
from maskspace.training.loop import NamedTask, Worker, fit
from maskspace.training.progress import followed

COST = "cost.json"


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training.

    name: that of its folders; it may have slashes.
    make_task: returns the task.
    optimisation: the recipe.
    workers: threads, loaders and device of the one worker.
    provenance: what the model's description says of its origin.

    Example:
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> training = Training(
        ...     name="rectangles/pull-seed0", make_task=lambda: None, optimisation=recipe,
        ...     workers=Workers(number=1, threads=1, loaders=0, gpu=False), provenance={"seed": 0})
        >>> training.name
        'rectangles/pull-seed0'
    """

    name: str
    make_task: Callable[[], NamedTask]
    optimisation: Optimisation
    workers: Workers
    provenance: Mapping[str, object]


@runtime_checkable
class MapTrainings(Protocol):
    """Applies a function to trainings, here or elsewhere; `map` is one.

    Example:
        >>> isinstance(map, MapTrainings)
        True
    """

    def __call__(
        self, function: Callable[[Training], str], units: list[Training], /
    ) -> Iterable[str]:
        """Return the results in the order of the trainings."""
        ...


def train_each(
    trainings: Sequence[Training], run: Path, out: Path, *, map_trainings: MapTrainings = map
) -> None:
    """Write `out/NAME` of each training: a model's folder, with the cost of the training.

    A training that has been exported before is not repeated.

    Args:
        trainings: the trainings, all with the same number of steps.
        run: their progress is in `run/NAME`.
        out: folder of the models.
        map_trainings: applies a function to the trainings (default `map`: one after the other).

    Example:
        >>> import tempfile
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> training = Training(
        ...     name="rectangles/pull-seed0", make_task=lambda: None, optimisation=recipe,
        ...     workers=Workers(number=1, threads=1, loaders=0, gpu=False), provenance={})
        >>> run, out = (Path(tempfile.mkdtemp()) for _ in range(2))
        >>> (out / training.name).mkdir(parents=True)
        >>> (out / training.name / COST).touch()  # it has been exported before: nothing is trained
        >>> train_each([training], run, out)
        >>> [path.name for path in run.iterdir()]
        []
    """
    unit = partial(_train, run=run.resolve(), out=out.resolve())
    # the cost is the last file that is written
    missing = [t for t in trainings if not (out / t.name / COST).is_file()]
    with followed({t.name: run / t.name for t in trainings}, trainings[0].optimisation):
        for _ in map_trainings(unit, missing):
            pass


def _train(training: Training, *, run: Path, out: Path) -> str:
    folder = out / training.name
    torch.set_num_threads(training.workers.threads)
    task = training.make_task()
    device = torch.device("cuda" if training.workers.gpu else "cpu")
    worker = Worker(loaders=training.workers.loaders, device=device)
    _forget_peak(device)
    before = _peak_bytes(device)
    fit(task, training.optimisation, run / training.name, worker=worker)
    history = export_training(
        task, run / training.name, folder, provenance=dict(training.provenance)
    )
    pace = history[-1]["images_per_second"]
    cost = {
        "milliseconds_a_step": 1e3 * training.optimisation.batch / pace,
        "peak_bytes": _peak_bytes(device) - before,
    }
    write_whole(folder / COST, json.dumps(cost) + "\n")
    return training.name


def _forget_peak(device: torch.device) -> None:
    """Let the peak of memory begin anew, where the system can: Linux, and GPUs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes(device: torch.device) -> int:
    """Return the most memory used since the peak began: the device's, or the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
