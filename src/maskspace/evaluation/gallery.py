"""A sheet of images: input, truth, what each model makes of it, and its features in colour."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from maskspace import masks, pictures
from maskspace.data.clicks import center_click
from maskspace.evaluation.model import Model
from maskspace.evaluation.truth import Truth

SIDE = 192
#: Characters of a model's name over its columns: of a folder's path, the end tells most.
LONGEST_NAME = 16


def write_gallery(
    path: Path, truths: Sequence[Truth], models: Mapping[str, Model], *, count: int
) -> None:
    """Write a PNG with one row an image.

    A model that partitions is shown with as many regions as the truth has; one that proposes with
    the best of its first `count` proposals for each true mask, in that mask's colour; any other
    with what a click at each true mask's centre gives: what is measured.
    """
    columns = {"input": [pictures.fit_image(truth.image, SIDE) for truth in truths]}
    columns["truth"] = [_painted(truth.image, masks.to_label_map(truth.masks)) for truth in truths]
    for name, model in models.items():
        columns |= _model_columns(name, model, truths, count)
    sheet = pictures.contact_sheet(
        [list(row) for row in zip(*columns.values(), strict=True)],
        titles=list(columns),
        names=[truth.key for truth in truths],
        side=SIDE,
    )
    pictures.save_image(path, sheet)


def _model_columns(
    name: str, model: Model, truths: Sequence[Truth], count: int
) -> dict[str, list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Return the columns that a model can fill."""
    columns = {}
    name = name if len(name) <= LONGEST_NAME else f"…{name[-LONGEST_NAME:]}"
    ways = {
        "partition": _partition,
        f"best of {count}": partial(_best_of, count=count),
        "centre clicks": _clicked,
    }
    for way, draw in ways.items():
        try:
            columns[f"{name}: {way}"] = [draw(model, truth) for truth in truths]
            break
        except ValueError:  # not this way: the next
            continue
    try:
        columns[f"{name}: features"] = [_features(model, truth) for truth in truths]
    except ValueError:
        return columns
    return columns


def _partition(model: Model, truth: Truth) -> UInt8[np.ndarray, "_ _ 3"]:
    shown = masks.to_label_map(truth.masks)
    return _painted(truth.image, model.hierarchy(truth.image).partition(len(np.unique(shown))))


def _best_of(model: Model, truth: Truth, *, count: int) -> UInt8[np.ndarray, "_ _ 3"]:
    proposed = model.propose(truth.image, limit=count).masks
    if len(proposed) == 0 or len(truth.masks) == 0:
        return _painted(truth.image, np.zeros(truth.ignore.shape, np.int64))
    best = masks.pairwise_iou(proposed, truth.masks).argmax(axis=0)
    return _painted(truth.image, masks.to_label_map(proposed[best]))


def _clicked(model: Model, truth: Truth) -> UInt8[np.ndarray, "_ _ 3"]:
    clicked = [model.click(truth.image, [center_click(mask)]) for mask in truth.masks]
    return _painted(truth.image, masks.to_label_map(np.reshape(clicked, truth.masks.shape)))


def _features(model: Model, truth: Truth) -> UInt8[np.ndarray, "_ _ 3"]:
    levels = model.embed(truth.image).levels
    return pictures.fit_image(pictures.feature_colors(levels[min(levels)]), SIDE)


def _painted(
    image: UInt8[np.ndarray, "h w 3"], labels: Int[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Return the labels on the image, enlarged before painting so that outlines stay thin."""
    return pictures.paint_labels(pictures.fit_image(image, SIDE), pictures.fit_labels(labels, SIDE))
