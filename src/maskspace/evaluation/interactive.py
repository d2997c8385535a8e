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

    A model that has no `click_probability` answers at 0.5 only; other thresholds are then absent.
    """
    if isinstance(model, ProbabilityModel):
        maps = np.stack([model.click_probability(truth.image, click) for click in clicks])
        return {threshold: maps > threshold for threshold in thresholds}
    masks = np.stack([model.click(truth.image, [click]) for click in clicks])
    return {0.5: masks} if 0.5 in thresholds else {}


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
