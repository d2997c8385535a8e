"""Pictures of a training: its validations, its history, the pieces that it has learnt by heart.

They are drawn from files that the training leaves, so that a changed picture trains nothing again.
Trainings also draw them while they run, for those who watch and for MLflow; no result depends on
them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskspace import pictures
from maskspace.config import Choice
from maskspace.heads import heads_of_options
from maskspace.shown import SHOWN, read_shown
from maskspace.training.checkpoint import HISTORY, Progress
from maskspace.training.head_pictures import picture_row, picture_titles

#: Columns of the history that are no losses, variances or scores.
PACE = ("step", "seconds", "images_per_second", "learning_rate", "wait_share", "since_best")
SIDE = 128
Picture = np.ndarray
Sheet = tuple[list[list[Picture]], Iterable[str]]


def draw_trainings(folder: Path, out: Path) -> None:
    """Draw every training under `folder` in a folder of the same name under `out`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> run = folder / "runs" / "student"
        >>> run.mkdir(parents=True)
        >>> Progress(run).append({"step": 1.0, "val_loss": 0.5})
        >>> draw_trainings(folder / "runs", folder / "pictures")
        >>> [str(path.relative_to(folder)) for path in folder.rglob("*.png")]
        ['pictures/student/history.png']
    """
    for history in sorted(folder.rglob(HISTORY)):
        target = out / history.parent.relative_to(folder)
        draw_history(Progress(history.parent).history(), target / "history.png")
        if (history.parent / SHOWN).is_file():
            draw_shown(history.parent / SHOWN, target / "validation.png")


def draw_shown(shown: Path, picture: Path) -> None:
    """Draw a file of `keep_shown` as a PNG with a row for each image.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> from maskspace.shown import keep_shown
        >>> arrays = {
        ...     "images": np.zeros((1, 8, 8, 3), np.uint8), "truths": np.ones((1, 8, 8), int),
        ...     "features": np.zeros((1, 3, 8, 8)), "regions": np.ones((1, 8, 8), int)}
        >>> keep_shown(folder / "shown.npz", arrays, about={"kind": "pieces"})
        >>> draw_shown(folder / "shown.npz", folder / "partition.png")
        >>> (folder / "partition.png").read_bytes()[1:4]
        b'PNG'
    """
    arrays, about = read_shown(shown)
    rows, titles = _SHEETS[about["kind"]](arrays, about)
    pictures.save_image(picture, pictures.contact_sheet(rows, titles=list(titles), side=SIDE))


def _clicks(arrays: Mapping[str, np.ndarray], about: Mapping[str, object]) -> Sheet:
    """Return clicks, the finest mask that they mean, the probability, and where it is above 1/2."""
    del about
    rows = []
    names = ("images", "clicks", "nests", "logits")
    for image, clicks, nest, logits in zip(*(arrays[name] for name in names), strict=True):
        clicked = image.copy()
        for row, column, sign in clicks.astype(np.int64).tolist():
            if sign:
                colour = (255, 255, 0) if sign > 0 else (0, 255, 255)
                clicked[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = colour
        finest = nest[(nest >= 0).any((1, 2))][:1] > 0.5
        probability = 1 / (1 + np.exp(-logits[None].clip(-30, 30)))
        rows.append(
            [
                clicked,
                pictures.paint_masks(image, finest),
                pictures.feature_colors(probability),
                pictures.paint_masks(image, logits[None] > 0),
            ]
        )
    return rows, ["clicks", "finest truth", "probability", "prediction"]


def _embedding(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Sheet:
    heads = heads_of_options(about["heads"])
    decoder = Choice(**about["decoder"]) if about["decoder"] else None
    rows = [
        picture_row(
            heads,
            decoder,
            {name: torch.from_numpy(arrays[f"head {name}"][index]) for name in heads},
            image,
            truth,
        )
        for index, (image, truth) in enumerate(zip(arrays["images"], arrays["labels"], strict=True))
    ]
    return rows, picture_titles(heads)


def _pieces(arrays: Mapping[str, np.ndarray], about: Mapping[str, object]) -> Sheet:
    del about
    names = ("images", "truths", "features", "regions")
    rows = [
        [
            image,
            pictures.paint_labels(image, truth),
            pictures.feature_colors(features),
            pictures.paint_labels(image, regions),
        ]
        for image, truth, features, regions in zip(*(arrays[n] for n in names), strict=True)
    ]
    return rows, ["input", "truth", "features", "partition"]


_SHEETS: Mapping[str, Callable[..., Sheet]] = {
    "clicks": _clicks,
    "embedding": _embedding,
    "pieces": _pieces,
}


def draw_history(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the columns of a history against the step: training terms, validation, spread.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> rows = [{"step": 1.0, "val_loss": 2.0}, {"step": 2.0, "val_loss": 1.0}]
        >>> draw_history(rows, folder / "history.png")
        >>> (folder / "history.png").read_bytes()[1:4]
        b'PNG'
    """
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
