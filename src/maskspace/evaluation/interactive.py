"""Drive a model through clicks: IoU after one click, at the centre and anywhere in the object."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64

from maskspace.data.clicks import center_click, random_click
from maskspace.evaluation.model import Model, ProbabilityModel
from maskspace.evaluation.truth import Truth
from maskspace.metrics.clicks_to_iou import click_iou
from maskspace.types import Click

#: Why a model without maps of probability has no IoU at a threshold other than 0.5.
MASKS_ONLY = "the model answers masks cut at 0.5, not probabilities"


def draw_clicks(truth: Truth, *, seed: int) -> dict[str, list[Click]]:
    """Return one click a mask and way of clicking: "center" and "random"."""
    return {
        "center": [center_click(mask) for mask in truth.masks],
        "random": [
            random_click(mask, seed=seed, key=truth.key, mask_id=mask_id)
            for mask, mask_id in zip(truth.masks, truth.ids, strict=True)
        ],
    }


def click_name(way: str, threshold: float) -> str:
    """Return the name of a way of clicking cut at a threshold: "center", "center_049"."""
    return way if threshold == 0.5 else f"{way}_{f'{threshold:g}'.replace('.', '')}"


def answer_clicks(
    model: Model, truth: Truth, clicks: Sequence[Click], *, thresholds: Sequence[float]
) -> dict[float, Bool[np.ndarray, "k h w"]]:
    """Return the masks of each click by itself, cut where the probability exceeds a threshold.

    A model that has no `click_probabilities` answers at 0.5 only; other thresholds are then absent.
    """
    distinct = list(dict.fromkeys(clicks))
    if isinstance(model, ProbabilityModel):
        answers = _cut_maps(model, truth, distinct, thresholds)
    elif 0.5 in thresholds:
        answers = {0.5: np.stack([model.click(truth.image, [click]) for click in distinct])}
    else:
        answers = {}
    position = {click: index for index, click in enumerate(distinct)}
    return {t: masks[[position[click] for click in clicks]] for t, masks in answers.items()}


def _cut_maps(
    model: ProbabilityModel, truth: Truth, clicks: Sequence[Click], thresholds: Sequence[float]
) -> dict[float, Bool[np.ndarray, "k h w"]]:
    """Return the cut maps, at most 2**26 probabilities at a time: a map is four masks in size."""
    step = max(1, (1 << 26) // truth.ignore.size)
    cut = {t: np.zeros((len(clicks), *truth.ignore.shape), bool) for t in thresholds}
    for start in range(0, len(clicks), step):
        maps = model.click_probabilities(truth.image, clicks[start : start + step])
        for threshold, masks in cut.items():
            masks[start : start + step] = maps > threshold
    return cut


def one_click_iou(
    truth: Truth,
    drawn: Mapping[str, Sequence[Click]],
    answers: Mapping[float, Bool[np.ndarray, "k h w"]],
) -> dict[str, Float64[np.ndarray, " n"]]:
    """Return the IoU of each true mask, by way of clicking and threshold (`click_name`).

    `answers` holds the masks of all drawn clicks, the ways one after the other.
    """
    count = len(truth.masks)
    return {
        click_name(way, threshold): click_iou(
            masks[position * count : (position + 1) * count], truth.masks, truth.ignore
        )
        for threshold, masks in answers.items()
        for position, way in enumerate(drawn)
    }
