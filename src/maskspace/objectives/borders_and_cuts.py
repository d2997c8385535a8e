"""Borders and cuts: `boundary` and `cut_metric` on one network; its tree is made of both.

The boundary says where a border is and how many people see it. The vectors say whether the pixels
on its two sides belong together at all, also where the border between them is broken. This is the
objective of the student for photos.
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
    """Return the objective: the terms of `boundary` and of `cut_metric`.

    Args:
        tolerance: distance in pixels within which annotators may place one border, >= 0
            (default 2).
        border_weight: weight of a pixel on a border relative to one off it, > 0 (default 4).
        side_weight: weight of the loss of each side output; that of the boundary is 1
            (default 0.5).
        channels: numbers in a vector of the cut metric: that many masks are represented exactly
            (default 24).
        cut_weight: weight of the terms of `cut_metric`; those of `boundary` weigh 1 (default 1).

    Example:
        >>> objective = borders_and_cuts()
        >>> sorted(objective.heads), objective.decoder.name
        (['2', 'boundary', 'boundary/16', 'boundary/4', 'boundary/8'], 'border_tree')
    """
    borders = boundary(tolerance=tolerance, border_weight=border_weight, side_weight=side_weight)
    metric = cut_metric(channels=channels)

    def terms(outputs: Outputs, targets: Targets) -> Terms:
        cuts = metric.terms(outputs, targets)
        weighted = {name: cut_weight * value for name, value in cuts.items()}
        return {**borders.terms(outputs, targets), **weighted}

    return Objective(heads={**borders.heads, **metric.heads}, terms=terms, decoder=borders.decoder)
