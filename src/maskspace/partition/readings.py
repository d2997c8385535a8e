"""Other readings of one trained network: the same decoder, grouping more or less.

A few options of each decoder say how much is grouped, in the unit of its outputs. To try other
values of them costs no training.
"""

import inspect
from collections.abc import Mapping, Sequence

from maskspace.config import Choice
from maskspace.partition import DECODERS

#: Options that say how much each decoder groups: a distance, a size, or a least probability.
SCALES: Mapping[str, tuple[str, ...]] = {
    "agglomeration": ("bandwidth",),
    "border_tree": ("height",),
    "centre_votes": ("radius",),
    "components": ("threshold",),
    "hdbscan": ("min_size",),
    "mean_shift": ("bandwidth",),
    "merge_tree": ("height",),
    "mutex_watershed": ("bandwidth",),
    "queries": (),
    "seeded_similarity": ("seed_threshold",),
    "sequential_gaussian": ("seed_threshold", "candidate"),
    "watershed_cut": ("energy",),
}


def readings(decoder: Choice, factors: Sequence[float]) -> dict[str, Choice]:
    """Return the decoder under "", and under "OPTION=VALUE" the decoder with scaled options.

    Scaled are the options of the decoder in SCALES; an option that is not given counts from its
    default. Whole numbers stay whole and at least 1. A factor that changes nothing adds nothing.

    Args:
        decoder: name and options of the decoder.
        factors: each is multiplied with all of these options.

    Example:
        >>> decoder = Choice(name="mean_shift", options={"bandwidth": 0.5})
        >>> {name: one.options for name, one in readings(decoder, [2.0]).items()}
        {'': {'bandwidth': 0.5}, 'bandwidth=1': {'bandwidth': 1.0}}
    """
    by_label = {"": decoder}
    signature = inspect.signature(DECODERS[decoder.name]).parameters
    scales = {
        name: decoder.options.get(name, signature[name].default) for name in SCALES[decoder.name]
    }
    for factor in factors:
        scaled = {name: _scaled(value, factor) for name, value in scales.items()}
        if scaled != scales:
            label = ",".join(f"{name}={value:.4g}" for name, value in scaled.items())
            by_label[label] = Choice(name=decoder.name, options={**decoder.options, **scaled})
    return by_label


def _scaled(value: int | float, factor: int | float) -> int | float:
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor
