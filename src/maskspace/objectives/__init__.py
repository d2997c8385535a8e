"""Objectives: differentiable, minimised; of embeddings in OBJECTIVES, of logits in MASK_LOSSES.

`level_line` asks any of MASK_LOSSES of every mask of a nest at once.
"""

from collections.abc import Callable

from maskspace.objectives.balls import balls
from maskspace.objectives.cross_entropy import cross_entropy
from maskspace.objectives.dice import dice
from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.frequency_centres import frequency_centres
from maskspace.objectives.harmonic import harmonic
from maskspace.objectives.hinge import hinge
from maskspace.objectives.instance_softmax import instance_softmax
from maskspace.objectives.level_line import level_line, levels_of
from maskspace.objectives.lovasz import lovasz_hinge, lovasz_sigmoid
from maskspace.objectives.masks import MaskLoss
from maskspace.objectives.metric_learning import metric_learning
from maskspace.objectives.normalised_focal import normalised_focal
from maskspace.objectives.objective import Objective
from maskspace.objectives.plain import plain
from maskspace.objectives.recurrent_grouping import recurrent_grouping
from maskspace.objectives.semi_convolutional import semi_convolutional
from maskspace.objectives.soft_iou import soft_iou
from maskspace.objectives.triplet import triplet

__all__ = ["MASK_LOSSES", "OBJECTIVES", "MaskLoss", "Objective", "level_line", "levels_of"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "balls": balls,
    "discriminative": discriminative,
    "frequency_centres": frequency_centres,
    "harmonic": harmonic,
    "instance_softmax": instance_softmax,
    "metric_learning": metric_learning,
    "plain": plain,
    "recurrent_grouping": recurrent_grouping,
    "semi_convolutional": semi_convolutional,
    "triplet": triplet,
}

MASK_LOSSES: dict[str, MaskLoss] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "hinge": hinge,
    "lovasz_hinge": lovasz_hinge,
    "lovasz_sigmoid": lovasz_sigmoid,
    "normalised_focal": normalised_focal,
    "soft_iou": soft_iou,
}
