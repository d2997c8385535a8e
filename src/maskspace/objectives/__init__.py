"""Objectives: differentiable, minimised; of embeddings in OBJECTIVES, of logits in MASK_LOSSES.

`level_line` asks any of MASK_LOSSES of every mask of a nest at once.
"""

from collections.abc import Callable

from maskspace.objectives.balls import balls
from maskspace.objectives.cross_entropy import cross_entropy
from maskspace.objectives.dice import dice
from maskspace.objectives.hinge import hinge
from maskspace.objectives.instance_softmax import instance_softmax
from maskspace.objectives.level_line import level_line, levels_of
from maskspace.objectives.lovasz import lovasz_hinge, lovasz_sigmoid
from maskspace.objectives.masks import MaskLoss
from maskspace.objectives.normalised_focal import normalised_focal
from maskspace.objectives.objective import Objective
from maskspace.objectives.soft_iou import soft_iou

__all__ = ["MASK_LOSSES", "OBJECTIVES", "MaskLoss", "Objective", "level_line", "levels_of"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "balls": balls,
    "instance_softmax": instance_softmax,
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
