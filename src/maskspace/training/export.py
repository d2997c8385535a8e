"""What a finished training leaves behind: the model's folder, its history as curves, its run."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from maskspace import pictures, tracking
from maskspace.models import save_model
from maskspace.training.checkpoint import HISTORY, PICTURES, VERDICTS, Progress
from maskspace.training.loop import LossRow, NamedTask

#: Columns of the history that are no losses, variances or scores.
PACE = ("step", "seconds", "images_per_second", "learning_rate", "wait_share", "since_best")


def export_training(
    task: NamedTask, run: Path, out: Path, *, provenance: Mapping[str, object]
) -> list[LossRow]:
    """Write the model, the history and the pictures of the training in `run`; return the history.

    The weights are the run's best if it may stop early, else its last. ValueError if the training
    has not come to its first validation.
    """
    progress = Progress(run)
    trained = task.build()
    steps = progress.restore_weights(trained)
    history = progress.history()
    trained_on = {**provenance, "steps": steps}
    model = task.model
    save_model(trained, out, name=model.name, options=model.options, provenance=trained_on)
    copy_record(run, out)
    draw_history(history, out / PICTURES / "history.png")
    return history


def copy_record(run: Path, out: Path) -> None:
    """Copy the history of a run, its verdicts and the picture of each of its validations."""
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / HISTORY, out / HISTORY)
    if (run / VERDICTS).exists():
        shutil.copyfile(run / VERDICTS, out / VERDICTS)
    for row in Progress(run).history():
        name = f"step-{int(row['step']):07d}.png"
        shutil.copyfile(run / PICTURES / name, out / PICTURES / name)


def draw_history(history: list[LossRow], path: Path) -> None:
    """Write the curves of every column against the step: training terms, validation, spread."""
    steps = [row["step"] for row in history]
    names = [name for name in history[0] if name not in PACE]
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_panel(name), []).append(name)
    panels = {
        title: [pictures.Line(label=n, x=steps, y=[row[n] for row in history]) for n in members]
        for title, members in groups.items()
        if members
    }
    pictures.plot_histories(path, panels, x_label="step", y_label="value")


def _panel(name: str) -> str:
    """Return the panel of a column: those whose values have a unit in common."""
    for prefix, title in {
        "train_": "training",
        "val_std": "spread of the output",
        "val_variance": "variance of channels",
        "val_least_variance": "variance of channels",
        "val_between_within": "variance between instances over within",
        "val_mean_distance": "distance of instance means",
        "val_gradient": "norm of a term's gradient at the outputs",
        "val_active": "share of pixels that a term moves",
    }.items():
        if name.startswith(prefix):
            return title
    return "validation"


def record_training(
    experiment: str,
    name: str,
    out: Path,
    history: Iterable[LossRow],
    *,
    params: Mapping[str, object],
    parent: str | None = None,
) -> None:
    """Log a finished training as an MLflow run: params, every row of its history, its pictures."""
    with tracking.run(experiment, name, parent=parent) as record:
        record.log_params(params)
        for row in history:
            metrics = {key.replace("/", "_level_"): v for key, v in row.items() if key != "step"}
            record.log_metrics(metrics, step=int(row["step"]))
        for picture in sorted((out / PICTURES).glob("*.png")):
            record.log_figure(picture)
