"""What is reported: plain functions of numpy arrays, predicted before true.

`PROPOSAL_METRICS` compare ranked masks with true masks, `PARTITION_METRICS` label maps,
`MASK_METRICS` each mask with its own truth. What is counted by image and pooled over a data set
(`hierarchy`, `boundary`, `panoptic`, `instances`, `average_precision`, `pixel_accuracy`) has
records of its own.
Definitions and proofs: `docs/metrics.md`.
"""

from collections.abc import Callable, Mapping

from maskspace.metrics.best_iou import mean_best_iou
from maskspace.metrics.boundary import boundary_f
from maskspace.metrics.boundary_iou import boundary_iou
from maskspace.metrics.clicks_to_iou import click_iou
from maskspace.metrics.covering import covering
from maskspace.metrics.dice import dice
from maskspace.metrics.information import variation_of_information
from maskspace.metrics.instances import instance_score
from maskspace.metrics.panoptic import panoptic_quality
from maskspace.metrics.rand import probabilistic_rand_index, rand_index
from maskspace.metrics.recall import average_recall

PROPOSAL_METRICS: Mapping[str, Callable[..., float]] = {
    "average_recall": average_recall,
    "mean_best_iou": mean_best_iou,
}
PARTITION_METRICS: Mapping[str, Callable[..., float]] = {
    "boundary_f": boundary_f,
    "covering": covering,
    "instance_score": instance_score,
    "panoptic_quality": panoptic_quality,
    "probabilistic_rand_index": probabilistic_rand_index,
    "rand_index": rand_index,
    "variation_of_information": variation_of_information,
}
MASK_METRICS: Mapping[str, Callable[..., object]] = {
    "boundary_iou": boundary_iou,
    "click_iou": click_iou,
    "dice": dice,
}
METRICS: Mapping[str, Callable[..., object]] = {
    **PROPOSAL_METRICS,
    **PARTITION_METRICS,
    **MASK_METRICS,
}
