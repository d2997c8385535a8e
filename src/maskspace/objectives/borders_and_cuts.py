"""Borders and cuts: `boundary` and `cut_metric` on one network, whose tree is made of both.

The boundary says where a border is and how many people see it; the vectors say whether what lies on
both sides belongs together at all, also where the border between is broken. This is the objective
of the student for photos.
"""

from maskspace.objectives.boundary import boundary
from maskspace.objectives.cut_metric import cut_metric
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.targets import Targets


def borders_and_cuts(
    *,
    tolerance: int = 2,
    border_weight: float = 4.0,
    side_weight: float = 0.5,
    channels: int = 24,
    cut_weight: float = 1.0,
) -> Objective:
    """Return the objective of both; `cut_weight` multiplies the terms of `cut_metric`.

    Example:
        >>> objective = borders_and_cuts()
        >>> sorted(objective.heads), objective.decoder.name
        (['2', 'boundary', 'boundary/16', 'boundary/4', 'boundary/8'], 'border_tree')
    """
    one = boundary(tolerance=tolerance, border_weight=border_weight, side_weight=side_weight)
    other = cut_metric(channels=channels)

    def terms(outputs: Outputs, targets: Targets) -> Terms:
        cuts = other.terms(outputs, targets)
        weighted = {name: cut_weight * value for name, value in cuts.items()}
        return {**one.terms(outputs, targets), **weighted}

    return Objective(heads={**one.heads, **other.heads}, terms=terms, decoder=one.decoder)
