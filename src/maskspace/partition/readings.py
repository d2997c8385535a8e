"""Other readings of one trained network: its decoder, grouping more or less.

Of every decoder a few options say how much is taken together, in the unit of its outputs; the
others are of form, not of scale. Trying them costs no training.
"""

import inspect
from collections.abc import Mapping, Sequence

from maskspace.config import Choice
from maskspace.partition import DECODERS

#: What each decoder groups by: a distance, a size, or how sure of something it wants to be.
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
    """Return {"": the decoder, "OPTION=VALUE": it with its SCALES times each factor}.

    What it has not been given counts from the decoder's default. Whole numbers stay whole and at
    least 1. Factors that change nothing, and the factor 1, add nothing.

    Example:
        >>> decoder = Choice(name="mean_shift", options={"bandwidth": 0.5})
        >>> {name: one.options for name, one in readings(decoder, [2.0]).items()}
        {'': {'bandwidth': 0.5}, 'bandwidth=1': {'bandwidth': 1.0}}
    """
    found = {"": decoder}
    signature = inspect.signature(DECODERS[decoder.name]).parameters
    own = {
        name: decoder.options.get(name, signature[name].default) for name in SCALES[decoder.name]
    }
    for factor in factors:
        scaled = {name: _scaled(value, factor) for name, value in own.items()}
        if scaled != own:
            label = ",".join(f"{name}={value:.4g}" for name, value in scaled.items())
            found[label] = Choice(name=decoder.name, options={**decoder.options, **scaled})
    return found


def _scaled(value: int | float, factor: int | float) -> int | float:
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor
