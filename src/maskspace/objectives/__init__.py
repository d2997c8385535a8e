"""Objectives: differentiable, minimised; of embeddings in OBJECTIVES, of logits in MASK_LOSSES."""

from collections.abc import Callable

from torch import Tensor

from maskspace.objectives.balls import balls
from maskspace.objectives.instance_softmax import instance_softmax
from maskspace.objectives.masks import normalised_focal, soft_iou

__all__ = ["MASK_LOSSES", "OBJECTIVES"]

OBJECTIVES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "balls": balls,
    "instance_softmax": instance_softmax,
}

MASK_LOSSES: dict[str, Callable[..., Tensor]] = {
    "normalised_focal": normalised_focal,
    "soft_iou": soft_iou,
}
