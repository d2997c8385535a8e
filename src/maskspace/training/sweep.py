"""Compare objectives and their options: one short training each on Ray Tune, halved by ASHA.

Li et al. 2020 (ASHA, arXiv 1810.05934). The losses of different objectives have no common unit.
Therefore the scheduler compares a trial's validation loss over the trial's own first one.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from maskspace.config import Choice
from maskspace.models import save_model
from maskspace.training.checkpoint import Progress
from maskspace.training.config import DistillConfig, Optimisation, SweepConfig, Workers
from maskspace.training.loop import LossRow, NamedTask, Worker, fit
from maskspace.training.progress import followed
from maskspace.training.search_space import (
    Suggested,
    Trial,
    chosen_trial,
    read_ledger,
    read_trials,
    trials,
)
from maskspace.training.workers import fit_distributed

MakeTask = Callable[[Choice, Optimisation], NamedTask]

#: What Optuna suggested.
LEDGER = "points.jsonl"
#: Seconds between two looks at what the workers of a trial have written.
_POLL_S = 0.5


def sweep(
    make_task: MakeTask, recipe: DistillConfig, config: SweepConfig, folder: Path
) -> list[dict[str, object]]:
    """Train the trials and return a row for each, finished or stopped early.

    Every trial keeps its progress in `folder/NAME`, on storage that the whole cluster sees. A sweep
    that was killed goes on: a trial reports its old rows again, without training. Under a scheduler
    that stops no trial, a trial's result depends on the trial alone; what Optuna suggests after a
    kill may differ from what it would have suggested. Needs a connected Ray.

    Args:
        make_task: returns the task of an objective with a recipe.
        recipe: the section `distill`.
        config: the section `sweep`.
        folder: the progress of the sweep.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> recipe = load_section(DistillConfig, "distill", path=params)
        >>> config = load_section(SweepConfig, "sweep", path=params)
        >>> [trial.name for trial in trials(config)]  # what it trains; each for so many steps:
        ['balls-radius0.06', ..., 'instance_softmax-bandwidth0.1']
        >>> recipe.optimisation.shortened(config.steps, config.validate_every).steps
        180
    """
    folder = folder.resolve()
    optimisation = recipe.optimisation.shortened(config.steps, config.validate_every)
    work = {
        "make_task": make_task,
        "optimisation": optimisation,
        "folder": folder,
        "workers": config.workers,
    }
    runs = _Runs(folder, config)
    with followed(runs, optimisation):
        outcomes = _tuner(config, optimisation, folder, work=work).fit()
    for outcome in outcomes:
        if isinstance(outcome.error, Exception):
            raise ValueError(f"sweep: a trial failed: {str(outcome.error).splitlines()[-1]}")
    return [
        finish_trial(
            trial,
            make_task(trial.objective, _recipe(optimisation, trial)),
            optimisation,
            folder / trial.name,
        )
        for trial in runs.trials()
    ]


class _Runs(Mapping[str, Path]):
    """The folders of the trials known so far by name: Optuna's are known once suggested."""

    def __init__(self, folder: Path, config: SweepConfig) -> None:
        self._folder, self._config = folder, config

    def trials(self) -> list[Trial]:
        """Return the trials of the sweep, in its order."""
        if self._config.search == "grid":
            return trials(self._config)
        ledger = read_ledger(self._folder / LEDGER)
        return [trial for line in ledger for trial in read_trials(line["trials"])]

    def __getitem__(self, name: str) -> Path:
        return self._folder / name

    def __iter__(self) -> Any:
        return iter([trial.name for trial in self.trials()])

    def __len__(self) -> int:
        return len(self.trials())


def _tuner(
    config: SweepConfig, optimisation: Optimisation, folder: Path, *, work: Mapping[str, object]
) -> Any:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    from maskspace.training.ended_trials import Marker

    scheduler = None
    if config.scheduler == "asha":
        scheduler = ASHAScheduler(
            time_attr="step",
            metric="loss_ratio",
            mode="min",
            max_t=optimisation.steps,
            grace_period=config.grace_steps,
            reduction_factor=config.reduction_factor,
        )
    settings = {"scheduler": scheduler, "max_concurrent_trials": config.concurrent}
    space = None
    if config.search == "grid":
        listed = [json.dumps([asdict(trial)]) for trial in trials(config)]
        space = {"trials": tune.grid_search(listed)}
    else:
        # max_concurrent_trials also limits how many points are asked for before any is told
        settings["search_alg"] = _optuna(config, folder / LEDGER, seed=optimisation.seed)
        settings["num_samples"] = config.points * len(config.seeds)
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(_train, work=work), _resources(config.workers)),
        param_space=space,
        tune_config=tune.TuneConfig(**settings),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=2),
            callbacks=[Marker(folder)],
        ),
    )


def _optuna(config: SweepConfig, ledger: Path, *, seed: int) -> Any:
    from ray.tune.search import Repeater
    from ray.tune.search.optuna import OptunaSearch

    known = [line["parameters"] for line in read_ledger(ledger)]
    search = OptunaSearch(
        space=Suggested(config, ledger),
        metric="loss_ratio",
        mode="min",
        # what is known already draws no number: the same seed would suggest the first point again
        seed=seed + len(known),
        points_to_evaluate=known,
    )
    return search if len(config.seeds) == 1 else Repeater(search, repeat=len(config.seeds))


def _resources(workers: Workers) -> dict[str, float]:
    """Return what a trial asks of Tune: its own share; workers of Ray Train ask for theirs.

    Beside such workers it takes no share of a CPU: of two CPUs its hundredth would leave room for
    one worker, and the trial would wait for ever. Tune refuses to ask for nothing: hence a byte.
    """
    if workers.number > 1:
        return {"memory": 1.0}
    return {"CPU": float(workers.threads), "GPU": float(workers.gpu)}


def _recipe(optimisation: Optimisation, trial: Trial) -> Optimisation:
    rate = trial.learning_rate or optimisation.learning_rate
    return replace(optimisation, learning_rate=rate, seed=trial.seed)


def _train(config: Mapping[str, Any], *, work: Mapping[str, Any]) -> None:
    from ray import tune

    from maskspace.training.ended_trials import ENDED

    trial, workers = chosen_trial(config), work["workers"]
    optimisation, folder = _recipe(work["optimisation"], trial), work["folder"] / trial.name
    first: list[float] = []

    def report(row: LossRow) -> None:
        first.append(row["val_loss"])
        ratio = row["val_loss"] / max(abs(first[0]), 1e-12)
        tune.report({"step": int(row["step"]), "val_loss": row["val_loss"], "loss_ratio": ratio})

    if (folder / ENDED).exists():
        for row in Progress(folder).history():
            report(row)
        return
    make_task = partial(work["make_task"], trial.objective, optimisation)
    if workers.number > 1:
        _fit_on_workers(make_task, optimisation, folder, workers=workers, report=report)
        return
    torch.set_num_threads(workers.threads)
    device = torch.device("cuda" if workers.gpu else "cpu")
    worker = Worker(loaders=workers.loaders, device=device)
    fit(make_task(), optimisation, folder, worker=worker, report=report)


def _fit_on_workers(
    make_task: Callable[[], NamedTask],
    optimisation: Optimisation,
    folder: Path,
    *,
    workers: Workers,
    report: Callable[[LossRow], None],
) -> None:
    """Train on Ray Train's workers and report what they write; they end with this process."""
    failed: list[Exception] = []

    def train() -> None:
        try:
            fit_distributed(make_task, optimisation, folder, workers=workers)
        except Exception as error:  # noqa: BLE001, raised again below
            failed.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    num_reported = 0
    while True:
        is_over = not thread.is_alive()
        rows = Progress(folder).history()
        for row in rows[num_reported:]:
            report(row)
        num_reported = max(num_reported, len(rows))
        if is_over:
            break
        thread.join(_POLL_S)
    if failed:
        raise failed[0]


def finish_trial(
    trial: Trial, task: NamedTask, optimisation: Optimisation, folder: Path
) -> dict[str, object]:
    """Save the weights of a trial beside its history, and return its row of the table.

    Example:
        >>> import tempfile
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.stream import Mixture
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> source = read_rectangles("", seed=0, limit=4)
        >>> mixture = Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> from maskspace.training.embedding_task import EmbeddingTask
        >>> trial = Trial(name="balls", objective=Choice(name="balls", options={}))
        >>> task = EmbeddingTask(
        ...     config=config, objective=trial.objective, train=mixture, held_out=mixture)
        >>> folder = Path(tempfile.mkdtemp())
        >>> Progress(folder).save(10, {"model": task.build()})
        >>> Progress(folder).append({"step": 5.0, "val_loss": 2.0, "val_collapsed": 0.0})
        >>> Progress(folder).append({"step": 10.0, "val_loss": 1.0, "val_collapsed": 0.0})
        >>> row = finish_trial(trial, task, config.optimisation, folder)
        >>> row["first_validation_loss"], row["validation_loss"], row["collapsed"]
        (2.0, 1.0, False)
    """
    progress = Progress(folder)
    trained = task.build()
    progress.restore_weights(trained)
    model, about = task.model, asdict(trial)
    save_model(trained, folder, name=model.name, options=model.options, provenance=about)
    history = progress.history()
    return {
        "trial": trial.name,
        "point": trial.point or trial.name,
        "seed": trial.seed,
        "learning_rate": trial.learning_rate,
        "objective": asdict(trial.objective),
        "step": int(history[-1]["step"]),
        "first_validation_loss": history[0]["val_loss"],
        "validation_loss": history[-1]["val_loss"],
        "collapsed": bool(history[-1]["val_collapsed"]),
        "finished": int(history[-1]["step"]) == optimisation.steps,
    }
