"""Offsets to a learnt centre: each pixel points at a place, and pixels of one instance meet there.

The embedding is the pixel's own position plus an offset. The centre of an instance is the mean of
the places at which its pixels point (research notes, 16 d). The terms of one of three other
objectives bring the pixels of an instance together and keep instances apart (`form`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

from jaxtyping import Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import DenseMap, Head, Level
from maskspace.objectives.balls import ball_terms
from maskspace.objectives.foreground import FOREGROUND, foreground_head, foreground_term
from maskspace.objectives.instance_softmax import softmax_terms
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.spatial_embedding import SCALE, spatial_terms

CentreForm = Literal["balls", "gaussian", "softmax"]


def offset_centre(
    *,
    form: CentreForm = "gaussian",
    radius: float = 6.0,
    push_ratio: float = 3.0,
    pull_weight: float = 1.0,
    pixels_per_unit: float = 32.0,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective: the terms of a form, and `foreground`.

    The head "1" has no activation, so that offsets have no limit. On rectangles the form "gaussian"
    learnt most in 400 steps (mean best IoU 0.65; softmax 0.54, balls 0.45). With "balls" every
    pixel that is not an instance's own is pushed from it, background and unlabelled ones too.

    Args:
        form: the terms: "balls" (`ball_terms`), "softmax" (`softmax_terms`) or "gaussian"
            (`spatial_terms` with a learnt centre) (default "gaussian").
        radius: how near an instance's pixels come to their centre, in pixels: the radius of a ball,
            the bandwidth of the softmax, or the distance at which a new network's Gaussian is one
            half; bandwidths of Gaussians are learnt too (default 6).
        push_ratio: with "balls": other instances end this many radii away (default 3).
        pull_weight: with "balls": weight of the term `pull` (default 1).
        pixels_per_unit: pixels that an output of 1 of the network moves; such outputs should reach
            across a small object (default 32).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = offset_centre(form="balls")
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    reach = radius / pixels_per_unit
    heads: dict[str, Head] = {"1": Level(channels=2, position="add", unit=pixels_per_unit)}
    if form == "gaussian":
        # exp(-exp(SCALE x) r^2) is one half at the reach
        raw = math.log(math.log(2) / reach**2) / SCALE
        heads["bandwidth"] = DenseMap(channels=1, bias=(raw,))
        heads["seed"] = DenseMap(channels=1, activation="sigmoid")
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    form_terms = _terms_of(form, reach, push_ratio, pull_weight, pixels_per_unit)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        costs = form_terms(outputs, labels)
        if foreground > 0:
            costs["foreground"] = foreground * foreground_term(outputs, labels)
        return costs

    decoders = {
        "balls": Choice(name="mean_shift", options={"bandwidth": push_ratio * reach / 2}),
        "gaussian": Choice(name="sequential_gaussian", options={"seed_threshold": 0.9, "cut": 0.5}),
        "softmax": Choice(name="mean_shift", options={"bandwidth": reach}),
    }
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoders[form])


def _terms_of(
    form: CentreForm, reach: float, push_ratio: float, pull_weight: float, unit: float
) -> Callable[[Outputs, Int[Tensor, "b h w"]], Terms]:
    if form == "gaussian":
        return partial(spatial_terms, centre="learnt", pixels_per_unit=unit)
    if form == "softmax":
        return lambda outputs, labels: softmax_terms(outputs["1"], labels, bandwidth=reach)
    if form == "balls":
        return lambda outputs, labels: ball_terms(
            outputs["1"], labels, radius=reach, push_ratio=push_ratio, pull_weight=pull_weight
        )
    raise ValueError(f"offset_centre has the forms balls, gaussian, softmax; got {form!r}")
