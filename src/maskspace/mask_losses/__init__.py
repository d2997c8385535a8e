"""Losses of mask logits, differentiable, minimised; MASK_LOSSES by name.

`level_line` asks any of MASK_LOSSES of every mask of a nest at once.
"""

from maskspace.mask_losses.cross_entropy import cross_entropy
from maskspace.mask_losses.dice import dice
from maskspace.mask_losses.hinge import hinge
from maskspace.mask_losses.level_line import cut_levels, level_line
from maskspace.mask_losses.lovasz import lovasz_hinge, lovasz_sigmoid
from maskspace.mask_losses.masks import MaskLoss
from maskspace.mask_losses.normalised_focal import normalised_focal
from maskspace.mask_losses.soft_iou import soft_iou

__all__ = ["MASK_LOSSES", "MaskLoss", "cut_levels", "level_line"]

MASK_LOSSES: dict[str, MaskLoss] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "hinge": hinge,
    "lovasz_hinge": lovasz_hinge,
    "lovasz_sigmoid": lovasz_sigmoid,
    "normalised_focal": normalised_focal,
    "soft_iou": soft_iou,
}
