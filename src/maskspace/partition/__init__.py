"""Partitions: an embedding or a click model -> superpixels, merge tree, proposals, edited masks."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int32

from maskspace.partition.agglomeration import agglomeration, merge_tree
from maskspace.partition.border_regions import border_regions
from maskspace.partition.centre_votes import centre_votes
from maskspace.partition.components import components
from maskspace.partition.hdbscan import hdbscan
from maskspace.partition.mean_shift import mean_shift
from maskspace.partition.merge_tree import merge_tree_partition
from maskspace.partition.mutex_watershed import mutex_watershed
from maskspace.partition.oracle import k_means, oracle_decode
from maskspace.partition.queries import queries
from maskspace.partition.seeded_similarity import seeded_similarity
from maskspace.partition.sequential_gaussian import sequential_gaussian
from maskspace.partition.superpixels import superpixels
from maskspace.partition.watershed_cut import watershed_cut
from maskspace.prediction import Prediction

__all__ = ["DECODERS", "PARTITIONERS", "k_means", "oracle_decode"]


PARTITIONERS: dict[str, Callable[..., Int32[np.ndarray, "h w"]]] = {
    "merge_tree": merge_tree_partition,
    "superpixels": superpixels,
}

#: Functions of a network's outputs for one image, by head, that return its instances; their
#: options are keyword-only.
DECODERS: dict[str, Callable[..., Prediction]] = {
    "agglomeration": agglomeration,
    "border_tree": border_regions,
    "centre_votes": centre_votes,
    "components": components,
    "hdbscan": hdbscan,
    "mean_shift": mean_shift,
    "queries": queries,
    "merge_tree": merge_tree,
    "mutex_watershed": mutex_watershed,
    "seeded_similarity": seeded_similarity,
    "sequential_gaussian": sequential_gaussian,
    "watershed_cut": watershed_cut,
}
