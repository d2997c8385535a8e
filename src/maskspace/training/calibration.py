"""Fit the tree of borders of a trained student: the heights of its nodes and their ranks."""

from collections.abc import Callable, Iterable
from functools import partial

from jaxtyping import UInt8
from numpy import ndarray

from maskspace.config import section
from maskspace.data.dense import dense
from maskspace.partition.border_tree import BorderMerging, BorderRule
from maskspace.partition.rule_fitting import Observed, fit_rule, observe
from maskspace.targets import Targets
from maskspace.types import MapUnits, Sample

Merge = Callable[[UInt8[ndarray, "h w 3"]], BorderMerging]


@section
class CalibrateConfig:
    """Section `calibrate`.

    Args:
        limit: training images that heights and ranks are fitted on, at least 1.

    Example:
        >>> CalibrateConfig(limit=120).limit
        120
    """

    limit: int

    def __post_init__(self) -> None:
        """Refuse a limit below 1."""
        if self.limit < 1:
            raise ValueError(f"calibrate: limit is at least 1; got {self.limit}")


def calibrated(
    rule: BorderRule, merge: Merge, samples: Iterable[Sample], *, map_units: MapUnits = map
) -> BorderRule:
    """Return a rule with heights and ranks fitted to samples.

    Args:
        rule: the rule to begin with.
        merge: returns the merges of an image's tree.
        samples: images with masks.
        map_units: maps a function over the samples, here or on a cluster (default `map`).

    Example:
        >>> import numpy as np
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.partition.border_tree import merge_borders
        >>> def merge(image):  # borders are where colours change
        ...     steps = np.abs(np.diff(image.astype(float), axis=1, prepend=image[:, :1])).max(-1)
        ...     return merge_borders((steps / 255).astype(np.float32), rule=BorderRule())
        >>> fitted = calibrated(BorderRule(), merge, read_rectangles("", seed=0, limit=2))
        >>> len(fitted.costs) == len(fitted.shares), len(fitted.ranking) > 0
        (True, True)
    """
    return fit_rule(rule, list(map_units(partial(_observed, merge), samples)))


def _observed(merge: Merge, sample: Sample) -> Observed:
    arrays = dense(sample)
    layers = Targets.of_masks(
        arrays.masks, annotators=arrays.layers.tolist(), unknown=arrays.ignore
    ).nested_label_maps()
    return observe(merge(arrays.image), layers[0].numpy())
