"""Position-sensitive embedding: the discriminative loss on vectors that hold where a pixel is.

PanoNet (Chen et al. 2020, arXiv 2008.00192) and the "pixel-level non-overlapping embedding" (ICME
2019), two papers of which no formula is at hand: read as the pull and push of De Brabandere et al.
(`discriminative`) on [x ; xy / unit], the position in pixels appended by the head itself.
"""

from dataclasses import replace

from maskspace.heads import Level
from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.foreground import BESIDE_DISTANCES
from maskspace.objectives.objective import Objective


def position_sensitive(
    *,
    unit: float = 256.0,
    pull_margin: float = 0.5,
    push_margin: float = 1.5,
    channels: int = 8,
    foreground: float = BESIDE_DISTANCES,
) -> Objective:
    """Return the objective: the terms of `discriminative`, on vectors with positions.

    `unit` is how many pixels are 1 in the embedding, the papers' 1 / lambda. No vector undoes a
    position: the pull of an instance is 0 only if no pixel is more than `unit` * `pull_margin`
    pixels from its middle, and means `unit` * 2 * `push_margin` pixels apart cost no push whatever
    they look like. A constant output of the network is no stationary point: positions differ.

    Example:
        >>> position_sensitive(unit=128.0).heads["1"].position
        'concat'
    """
    grouped = discriminative(
        pull_margin=pull_margin, push_margin=push_margin, channels=channels, foreground=foreground
    )
    placed = Level(channels=channels, position="concat", unit=unit)
    return replace(grouped, heads={**grouped.heads, "1": placed})
