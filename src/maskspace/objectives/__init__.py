"""Objectives: what an embedding is trained for, differentiable, minimised; OBJECTIVES by name."""

from collections.abc import Callable

from maskspace.objectives.anchor_mask import anchor_mask
from maskspace.objectives.balls import balls
from maskspace.objectives.borders_and_cuts import borders_and_cuts
from maskspace.objectives.boundary import boundary
from maskspace.objectives.centre_softmax import centre_softmax
from maskspace.objectives.centre_votes import centre_votes
from maskspace.objectives.class_instance import class_instance
from maskspace.objectives.clustering_queries import clustering_queries
from maskspace.objectives.cut_metric import cut_metric
from maskspace.objectives.deep_watershed import deep_watershed
from maskspace.objectives.direction_depth import direction_depth
from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.foreground import foreground
from maskspace.objectives.frequency_centres import frequency_centres
from maskspace.objectives.harmonic import harmonic
from maskspace.objectives.instance_softmax import instance_softmax
from maskspace.objectives.lovasz_instances import lovasz_instances
from maskspace.objectives.metric_learning import metric_learning
from maskspace.objectives.object_centric import object_centric
from maskspace.objectives.objective import Objective
from maskspace.objectives.offset_centre import offset_centre
from maskspace.objectives.offset_vectors import offset_vectors
from maskspace.objectives.plain import plain
from maskspace.objectives.position_sensitive import position_sensitive
from maskspace.objectives.recurrent_grouping import recurrent_grouping
from maskspace.objectives.semi_convolutional import semi_convolutional
from maskspace.objectives.sequential_grouping import sequential_grouping
from maskspace.objectives.spatial_embedding import spatial_embedding
from maskspace.objectives.triplet import triplet

__all__ = ["OBJECTIVES", "Objective"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "anchor_mask": anchor_mask,
    "balls": balls,
    "borders_and_cuts": borders_and_cuts,
    "boundary": boundary,
    "centre_softmax": centre_softmax,
    "centre_votes": centre_votes,
    "class_instance": class_instance,
    "clustering_queries": clustering_queries,
    "cut_metric": cut_metric,
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
