"""Pixel-level encoding: which way an instance's centre lies, Uhrig et al. 2016 (arXiv 1604.05096).

Directions are eight classes of 45 degrees. The direction of a vote is the mean of the classes'
directions, weighed by the softmax. The paper has two other outputs. Of its semantic class the
foreground is left here; its depth layer, which sizes the templates, needs depth maps.
"""

import math
from functools import partial

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap
from maskspace.mask_losses.masks import at_least_float32, mean_over_known
from maskspace.objectives.centres import mean_pixels, towards
from maskspace.objectives.foreground import FOREGROUND, foreground_head, foreground_term
from maskspace.objectives.objective import Objective, Outputs, Terms

#: Classes of direction; class i is around the angle 2 pi i / 8 from x towards y (down), so that its
#: unit vector is (cos, sin) of it.
DIRECTIONS = 8


def direction_depth(*, foreground: float = 1.0, depth: float = 0.0) -> Objective:
    """Return the objective; see `direction_terms`.

    ValueError for a `depth` other than 0.

    Args:
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).
        depth: weight of the depth layer of each instance (in the paper 18 uneven bins and the
            background). It needs a depth map beside the labels, which no record holds: only 0 is
            accepted (default 0).

    Example:
        >>> objective = direction_depth()
        >>> sorted(objective.heads), objective.decoder.name
        (['direction_bins', 'foreground'], 'centre_votes')
    """
    if depth != 0:
        raise ValueError(
            f"direction_depth: depth needs a depth map for every image, samples hold none;"
            f" expected 0, got {depth}"
        )
    heads = {"direction_bins": DenseMap(channels=DIRECTIONS)}
    if foreground > 0:
        heads[FOREGROUND] = foreground_head()
    return Objective.of_label_maps(
        heads=heads,
        terms=partial(direction_terms, foreground=foreground),
        decoder=Choice(name="centre_votes", options={}),
    )


def direction_terms(
    outputs: Outputs, labels: Int[Tensor, "b h w"], *, foreground: float = 1.0
) -> Terms:
    """Return the terms `direction` and, unless its weight is 0, `foreground`; the paper adds them.

    direction = mean over the pixels on instances of an image, then over images, of the
    cross-entropy in nats of the direction to the mean of the instance's visible pixels. A pixel at
    the mean has no direction and takes no part. A constant output costs log 8 at best, and is
    stationary there only if the directions are equally common.

    Example:
        >>> labels = torch.tensor([[[1, 1, 1, 0]]])
        >>> bins, has_one = direction_bins(labels)
        >>> logits = 20.0 * F.one_hot(bins, DIRECTIONS).permute(0, 3, 1, 2)
        >>> terms = direction_terms({"direction_bins": logits}, labels, foreground=0.0)
        >>> round(terms["direction"].item(), 4)
        0.0
    """
    bins, has_one = direction_bins(labels)
    cost = F.cross_entropy(at_least_float32(outputs["direction_bins"]), bins, reduction="none")
    some = has_one.flatten(1).any(1).sum().clamp(min=1)
    costs = {"direction": mean_over_known(cost, has_one).sum() / some}
    if foreground > 0:
        costs["foreground"] = foreground * foreground_term(outputs, labels)
    return costs


def direction_bins(
    labels: Int[Tensor, "b h w"],
) -> tuple[Int[Tensor, "b h w"], Bool[Tensor, "b h w"]]:
    """Return the class of the direction from each pixel to its instance's mean, and where it is.

    Example:
        >>> bins, has_one = direction_bins(torch.tensor([[[1, 1, 1, 0]]]))
        >>> bins[has_one].tolist()  # right and left: 0 and 180 degrees
        [0, 4]
    """
    direction = towards(labels, mean_pixels(labels))
    angle = torch.atan2(direction[:, 1], direction[:, 0])
    bins = (angle * (DIRECTIONS / (2 * math.pi))).round().long() % DIRECTIONS
    return bins, direction.square().sum(1) > 0
