"""Position-sensitive embedding: the discriminative loss on vectors that hold a pixel's position.

PanoNet (Chen et al. 2020, arXiv 2008.00192) and the "pixel-level non-overlapping embedding" (ICME
2019). We have the formula of neither paper. We read them as the pull and push of De Brabandere et
al. (`discriminative`) on [x ; xy / unit]: the head itself appends the position in pixels.
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

    No vector can undo a position. So the pull of an instance is 0 only if all its pixels lie within
    `unit` * `pull_margin` pixels of its middle, and instances whose middles are `unit` * 2 *
    `push_margin` pixels apart cost no push whatever they look like. A constant output of the
    network is no stationary point, as positions differ.

    Args:
        unit: pixels that are 1 in the embedding: the papers' 1 / lambda (default 256).
        pull_margin: distance from its instance's mean up to which a pixel costs nothing
            (default 0.5).
        push_margin: means cost nothing from twice this distance on (default 1.5).
        channels: numbers in the vector of a pixel, without its position (default 8).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 20).

    Example:
        >>> position_sensitive(unit=128.0).heads["1"].position
        'concat'
    """
    grouped = discriminative(
        pull_margin=pull_margin, push_margin=push_margin, channels=channels, foreground=foreground
    )
    placed = Level(channels=channels, position="concat", unit=unit)
    return replace(grouped, heads={**grouped.heads, "1": placed})
