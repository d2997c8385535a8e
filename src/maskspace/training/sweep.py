"""Which objective, at which bandwidth: one short training each on Ray Tune, halved by ASHA.

Li et al. 2020 (ASHA, arXiv 1810.05934). Losses of different objectives have no common unit, so the
scheduler compares each trial's validation loss with that trial's own first one.
"""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from maskspace import pictures, tracking
from maskspace.config import Choice
from maskspace.models import save_model
from maskspace.models.weights import DESCRIPTION, WEIGHTS
from maskspace.training.checkpoint import Progress
from maskspace.training.config import DistillConfig, Optimisation, SweepConfig, Workers
from maskspace.training.export import copy_record, record_training
from maskspace.training.loop import NamedTask, Row, Worker, fit
from maskspace.training.progress import followed

MakeTask = Callable[[Choice], NamedTask]


@dataclass(frozen=True)
class Trial:
    """One point of the search space and the folder of its training."""

    name: str
    objective: Choice


def trials(config: SweepConfig) -> list[Trial]:
    """Return every combination of each objective's option values, in the order of params.yaml."""
    return [
        Trial(
            name="-".join(
                [objective, *(f"{k}{v:g}" for k, v in zip(options, values, strict=True))]
            ),
            objective=Choice(name=objective, options=dict(zip(options, values, strict=True))),
        )
        for objective, options in config.objectives.items()
        for values in itertools.product(*options.values())
    ]


def sweep(
    make_task: MakeTask, recipe: DistillConfig, config: SweepConfig, folder: Path
) -> list[dict[str, object]]:
    """Train the trials under ASHA and return a row for each, finished or stopped early.

    Every trial keeps its progress in `folder/NAME`, so that a sweep that was killed goes on: what a
    trial had reported it reports again, without training. Needs a connected Ray.
    """
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    space = trials(config)
    optimisation = recipe.optimisation.shortened(config.steps, config.validate_every)
    resources: dict[str, float] = {"CPU": config.threads, "GPU": int(recipe.workers.gpu)}
    work = {
        "make_task": make_task,
        "optimisation": optimisation,
        "folder": folder.resolve(),
        "threads": config.threads,
        "worker": _worker(recipe.workers),
    }
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(_train, work=work), resources),
        param_space={"trial": tune.grid_search([json.dumps(asdict(t)) for t in space])},
        tune_config=tune.TuneConfig(
            scheduler=ASHAScheduler(
                time_attr="step",
                metric="loss_ratio",
                mode="min",
                max_t=optimisation.steps,
                grace_period=config.grace_steps,
                reduction_factor=config.reduction_factor,
            ),
            max_concurrent_trials=config.concurrent,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder.resolve()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=2),
        ),
    )
    with followed({trial.name: folder / trial.name for trial in space}, optimisation):
        outcomes = tuner.fit()
    for outcome in outcomes:
        if isinstance(outcome.error, Exception):
            raise ValueError(f"sweep: a trial failed: {str(outcome.error).splitlines()[-1]}")
    return [
        finish_trial(trial, make_task(trial.objective), optimisation, folder / trial.name)
        for trial in space
    ]


def _worker(workers: Workers) -> Worker:
    device = torch.device("cuda" if workers.gpu else "cpu")
    return Worker(loaders=workers.loaders, device=device)


def _train(config: Mapping[str, str], *, work: Mapping) -> None:
    from ray import tune

    torch.set_num_threads(work["threads"])
    described = json.loads(config["trial"])
    objective = Choice(**described["objective"])
    folder: Path = work["folder"] / described["name"]
    first: list[float] = []

    def report(row: Row) -> None:
        first.append(row["val_loss"])
        ratio = row["val_loss"] / max(first[0], 1e-12)
        tune.report({"step": int(row["step"]), "val_loss": row["val_loss"], "loss_ratio": ratio})

    task = work["make_task"](objective)
    fit(task, work["optimisation"], folder, worker=work["worker"], report=report)


def finish_trial(
    trial: Trial, task: NamedTask, optimisation: Optimisation, folder: Path
) -> dict[str, object]:
    """Save the weights of a trial beside its history, and return its row of the table."""
    progress = Progress(folder)
    trained = task.build()
    progress.restore_weights(trained)
    model, about = task.model, asdict(trial)
    save_model(trained, folder, name=model.name, options=model.options, provenance=about)
    history = progress.history()
    return {
        "trial": trial.name,
        "objective": asdict(trial.objective),
        "step": int(history[-1]["step"]),
        "first_validation_loss": history[0]["val_loss"],
        "validation_loss": history[-1]["val_loss"],
        "collapsed": bool(history[-1]["val_collapsed"]),
        "finished": int(history[-1]["step"]) == optimisation.steps,
    }


def write_sweep(rows: list[dict[str, object]], run: Path, out: Path) -> None:
    """Write each trial's model, history and pictures to `out/NAME`, and the table of trials.

    The losses of all trials, each over its own first value, are drawn in `losses.png`.
    """
    lines = []
    for row in rows:
        name = str(row["trial"])
        copy_record(run / name, out / name)
        for file in (WEIGHTS, DESCRIPTION):
            shutil.copyfile(run / name / file, out / name / file)
        history = Progress(run / name).history()
        losses = [point["val_loss"] / max(history[0]["val_loss"], 1e-12) for point in history]
        lines.append(pictures.Line(label=name, x=[point["step"] for point in history], y=losses))
    pictures.plot_histories(
        out / "losses.png",
        {"validation loss over its own first value": lines},
        x_label="step",
        y_label="ratio",
    )
    partial = out / ".trials.json.partial"
    partial.write_text(json.dumps(rows, indent=2) + "\n")
    os.replace(partial, out / "trials.json")


def record_sweep(rows: list[dict[str, object]], out: Path, *, params: Mapping[str, object]) -> None:
    """Log the sweep as an MLflow run and each trial as a run nested in it."""
    with tracking.run("sweep", "sweep") as record:
        record.log_params(params)
        record.log_figure(out / "losses.png")
        for row in rows:
            name = str(row["trial"])
            record_training(
                "sweep",
                name,
                out / name,
                Progress(out / name).history(),
                params=row,
                parent=record.id,
            )
