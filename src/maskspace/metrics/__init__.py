"""What is reported: plain functions of numpy arrays, predicted before true.

`PROPOSAL_METRICS` compare ranked masks with true masks; `PARTITION_METRICS` compare label maps.
"""

from collections.abc import Callable, Mapping

from maskspace.metrics.best_iou import mean_best_iou
from maskspace.metrics.clicks_to_iou import click_iou
from maskspace.metrics.covering import covering
from maskspace.metrics.information import variation_of_information
from maskspace.metrics.rand import probabilistic_rand_index, rand_index
from maskspace.metrics.recall import average_recall

PROPOSAL_METRICS: Mapping[str, Callable[..., float]] = {
    "average_recall": average_recall,
    "mean_best_iou": mean_best_iou,
}
PARTITION_METRICS: Mapping[str, Callable[..., float]] = {
    "covering": covering,
    "probabilistic_rand_index": probabilistic_rand_index,
    "rand_index": rand_index,
    "variation_of_information": variation_of_information,
}
METRICS: Mapping[str, Callable[..., object]] = {
    **PROPOSAL_METRICS,
    **PARTITION_METRICS,
    "click_iou": click_iou,
}
