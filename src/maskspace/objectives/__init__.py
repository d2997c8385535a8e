"""Objectives: differentiable, minimised; of embeddings in OBJECTIVES, of logits in MASK_LOSSES.

`level_line` asks any of MASK_LOSSES of every mask of a nest at once.
"""

import inspect
from collections.abc import Callable, Iterable

from maskspace.objectives.anchor_mask import anchor_mask
from maskspace.objectives.balls import balls
from maskspace.objectives.centre_softmax import centre_softmax
from maskspace.objectives.centre_votes import centre_votes
from maskspace.objectives.class_instance import class_instance
from maskspace.objectives.clustering_queries import clustering_queries
from maskspace.objectives.cross_entropy import cross_entropy
from maskspace.objectives.deep_watershed import deep_watershed
from maskspace.objectives.dice import dice
from maskspace.objectives.direction_depth import direction_depth
from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.foreground import foreground
from maskspace.objectives.frequency_centres import frequency_centres
from maskspace.objectives.harmonic import harmonic
from maskspace.objectives.hinge import hinge
from maskspace.objectives.instance_softmax import instance_softmax
from maskspace.objectives.level_line import level_line, levels_of
from maskspace.objectives.lovasz import lovasz_hinge, lovasz_sigmoid
from maskspace.objectives.lovasz_instances import lovasz_instances
from maskspace.objectives.masks import MaskLoss
from maskspace.objectives.metric_learning import metric_learning
from maskspace.objectives.normalised_focal import normalised_focal
from maskspace.objectives.object_centric import object_centric
from maskspace.objectives.objective import Objective
from maskspace.objectives.offset_centre import offset_centre
from maskspace.objectives.offset_vectors import offset_vectors
from maskspace.objectives.plain import plain
from maskspace.objectives.position_sensitive import position_sensitive
from maskspace.objectives.recurrent_grouping import recurrent_grouping
from maskspace.objectives.semi_convolutional import semi_convolutional
from maskspace.objectives.sequential_grouping import sequential_grouping
from maskspace.objectives.soft_iou import soft_iou
from maskspace.objectives.spatial_embedding import spatial_embedding
from maskspace.objectives.triplet import triplet

__all__ = ["MASK_LOSSES", "OBJECTIVES", "MaskLoss", "Objective", "level_line", "levels_of"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "anchor_mask": anchor_mask,
    "balls": balls,
    "centre_softmax": centre_softmax,
    "centre_votes": centre_votes,
    "class_instance": class_instance,
    "clustering_queries": clustering_queries,
    "deep_watershed": deep_watershed,
    "direction_depth": direction_depth,
    "discriminative": discriminative,
    "foreground": foreground,
    "frequency_centres": frequency_centres,
    "harmonic": harmonic,
    "instance_softmax": instance_softmax,
    "lovasz_instances": lovasz_instances,
    "metric_learning": metric_learning,
    "object_centric": object_centric,
    "offset_centre": offset_centre,
    "offset_vectors": offset_vectors,
    "plain": plain,
    "position_sensitive": position_sensitive,
    "recurrent_grouping": recurrent_grouping,
    "semi_convolutional": semi_convolutional,
    "sequential_grouping": sequential_grouping,
    "spatial_embedding": spatial_embedding,
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


def about(names: Iterable[str]) -> dict[str, str]:
    """Return what each objective is, in the words of its module and of its terms."""
    described = {}
    for name in names:
        module = inspect.getmodule(OBJECTIVES[name])
        assert module is not None
        formulas = [
            inspect.getdoc(function) or ""
            for label, function in inspect.getmembers(module, inspect.isfunction)
            if label.endswith("_terms") and function.__module__ == module.__name__
        ]
        described[name] = "\n\n".join([inspect.getdoc(module) or "", *formulas])
    return described
