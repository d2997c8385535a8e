"""Offsets to a learnt centre: pixels say where they belong, and an instance is where they meet.

The embedding is the pixel's own position plus an offset, and the centre of an instance the mean of
what its pixels say (research notes, 16 d). What brings them together and keeps instances apart is
one of three other objectives' terms on it.
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

    `radius`, in pixels, is how near an instance's pixels come to their centre: the radius of
    `ball_terms` (other instances end `push_ratio` times as far), the bandwidth of `softmax_terms`,
    or the distance at which a new network's Gaussian is one half (`spatial_terms` with a learnt
    centre; its bandwidths are learnt too). The head "1" is in units of `pixels_per_unit`, so that a
    network's outputs of about 1 reach across a small object; it has no activation, and so no end.
    Of the three the Gaussian learnt most on rectangles in 400 steps (mean best IoU 0.65; softmax
    0.54, balls 0.45). Balls push every pixel that is not an instance's own, background and
    unlabelled ones too.

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
        found = form_terms(outputs, labels)
        if foreground > 0:
            found["foreground"] = foreground * foreground_term(outputs, labels)
        return found

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
