"""Frequency centres: every pixel regresses a Fourier code of its instance's centroid.

Variant 16 f of the research notes: code(c) = [sin(w c), cos(w c)] of x and of y for each frequency
w, c from 0 to 1 over the image. `harmonic` regresses the mean of sinusoids; here it is the sinusoid
of the mean. Codes of two centroids a and b differ by |code(a) - code(b)|^2 =
4 sum_w sin^2(w (a - b) / 2) on each axis. Cost and limits are those of `harmonic`; instances with
one centroid are one.
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
    """Return the objective; see `regression` of `harmonic`. Each frequency takes four channels.

    Args:
        frequencies: frequencies in radians per side of the image (default pi times 1, 2, 4 and 8).
        weighting: weight of a pixel by the size n of its instance: "logarithm" for 1 / log n,
            "cube_root" for n^(-1/3), "size" for 1 / n (default "logarithm").
        gain: factor of all weights (default 10).
        background: whether the background has a target too, as if it were one instance (default
            False: it has no centroid).
        bandwidth: the decoder's, a distance of codes; by default centroids 1/60 of a side apart
            differ by it (default 0.5).
        stride: pixels in the side of a cell of the embedding (default 1).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = frequency_centres()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    cost = partial(regression, weighting=weighting, gain=gain, background=background)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        embedding, cells = outputs[str(stride)], labels_at(labels, stride)
        target = centre_codes(grouped(cells, background=background), frequencies)
        costs = cost(embedding, target, cells)
        if foreground > 0:
            costs[FOREGROUND] = foreground * foreground_term(outputs, labels, stride=stride)
        return costs

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
    groups = instances(xy, labels)
    turns = groups.means[:, :, None] * groups.means.new_tensor(frequencies)[:, None]  # b n f 2
    code = torch.cat([turns.sin(), turns.cos()], dim=3).flatten(2)
    return spread_over_pixels(groups, code, labels)
