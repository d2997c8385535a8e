"""Frequency centres: every pixel regresses a Fourier code of its instance's centroid.

Variant 16 f of the research notes: code(c) = [sin(w c), cos(w c)] of x and of y for each frequency
w, c from 0 to 1 over the image, where `harmonic` takes the mean of sinusoids and not the sinusoid
of the mean. Centroids then differ in code by |code(a) - code(b)|^2 = 4 sum_w sin^2(w (a - b) / 2)
an axis. Same cost and same caveats as `harmonic`; instances of one centroid are one.
"""

import math
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Head, Level, level_name
from maskspace.objectives.foreground import FOREGROUND, foreground_head, foreground_term
from maskspace.objectives.harmonic import (
    Weighting,
    grouped,
    regression,
    spread_over_pixels,
    unit_coordinates,
)
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import instances
from maskspace.targets import labels_at

#: Octaves from half a turn over the image, the fastest that still tells its two ends apart.
FREQUENCIES = (math.pi, 2 * math.pi, 4 * math.pi, 8 * math.pi)


def frequency_centres(
    *,
    frequencies: tuple[float, ...] = FREQUENCIES,
    weighting: Weighting = "logarithm",
    gain: float = 10.0,
    background: bool = False,
    bandwidth: float = 0.5,
    stride: int = 1,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective; see `regression` of `harmonic`. There are four channels a frequency.

    Frequencies are radians per side of the image. The background, whose centroid is nowhere, has no
    target by default. Codes `bandwidth` apart are of centroids 1/60 of a side apart by default.
    `foreground` is the weight of the term of that head, 0 for no such head.

    Example:
        >>> objective = frequency_centres()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    cost = partial(regression, weighting=weighting, gain=gain, background=background)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        embedding, cells = outputs[str(stride)], labels_at(labels, stride)
        target = centre_codes(grouped(cells, background=background), frequencies)
        found = cost(embedding, target, cells)
        if foreground > 0:
            found[FOREGROUND] = foreground * foreground_term(outputs, labels, stride=stride)
        return found

    heads: dict[str, Head] = {
        level_name(stride): Level(channels=4 * len(frequencies), stride=stride)
    }
    if foreground > 0:
        heads[FOREGROUND] = foreground_head(stride=stride)
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth, "kernel": "flat"})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def centre_codes(
    labels: Int[Tensor, "b h w"], frequencies: tuple[float, ...]
) -> Float[Tensor, "b c h w"]:
    """Return the code of every pixel's instance's centroid; meaningless off instances.

    Channels are sin of x, sin of y, cos of x, cos of y at the first frequency, then at the next.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> code = centre_codes(labels, (math.pi,))
        >>> torch.equal(code[..., 0], code[..., 1]), torch.equal(code[..., 1], code[..., 2])
        (True, False)
    """
    xy = unit_coordinates(labels).expand(len(labels), -1, -1, -1)
    found = instances(xy, labels)
    turns = found.means[:, :, None] * found.means.new_tensor(frequencies)[:, None]  # b n f 2
    code = torch.cat([turns.sin(), turns.cos()], dim=3).flatten(2)
    return spread_over_pixels(found, code, labels)
