"""Objectives: differentiable, minimised; of embeddings in OBJECTIVES, of logits in MASK_LOSSES.

`level_line` asks any of MASK_LOSSES of every mask of a nest at once.
"""

from collections.abc import Callable

from maskspace.objectives.balls import balls
from maskspace.objectives.centre_softmax import centre_softmax
from maskspace.objectives.centre_votes import centre_votes
from maskspace.objectives.cross_entropy import cross_entropy
from maskspace.objectives.deep_watershed import deep_watershed
from maskspace.objectives.dice import dice
from maskspace.objectives.direction_depth import direction_depth
from maskspace.objectives.hinge import hinge
from maskspace.objectives.instance_softmax import instance_softmax
from maskspace.objectives.level_line import level_line, levels_of
from maskspace.objectives.lovasz import lovasz_hinge, lovasz_sigmoid
from maskspace.objectives.masks import MaskLoss
from maskspace.objectives.normalised_focal import normalised_focal
from maskspace.objectives.object_centric import object_centric
from maskspace.objectives.objective import Objective
from maskspace.objectives.offset_centre import offset_centre
from maskspace.objectives.sequential_grouping import sequential_grouping
from maskspace.objectives.soft_iou import soft_iou
from maskspace.objectives.spatial_embedding import spatial_embedding

__all__ = ["MASK_LOSSES", "OBJECTIVES", "MaskLoss", "Objective", "level_line", "levels_of"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "balls": balls,
    "centre_softmax": centre_softmax,
    "centre_votes": centre_votes,
    "deep_watershed": deep_watershed,
    "direction_depth": direction_depth,
    "instance_softmax": instance_softmax,
    "object_centric": object_centric,
    "offset_centre": offset_centre,
    "sequential_grouping": sequential_grouping,
    "spatial_embedding": spatial_embedding,
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
