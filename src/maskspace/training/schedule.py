"""Learning rate against step, as a share of its peak: a linear warm-up, then one of SCHEDULES.

A schedule is a function of the progress after the warm-up, 0 to 1, so that a recipe keeps its shape
over another number of steps.
"""

import math
from collections.abc import Callable


def cosine(progress: float, *, final_share: float = 0.0) -> float:
    """Return the half cosine from 1 to `final_share`.

    Example:
        >>> [round(cosine(progress, final_share=0.1), 3) for progress in (0.0, 0.5, 1.0)]
        [1.0, 0.55, 0.1]
    """
    return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * progress))


def steps(
    progress: float, *, milestones: tuple[float, ...] = (0.5, 0.9), gamma: float = 0.1
) -> float:
    """Return `gamma` to the number of milestones reached: torch's MultiStepLR.

    The defaults are SegNext's: its rate is divided by 10 at epochs 50 and 90 of 100.

    Example:
        >>> [round(steps(progress), 3) for progress in (0.0, 0.5, 0.9)]
        [1.0, 0.1, 0.01]
    """
    if list(milestones) != sorted(milestones) or not all(0 < m < 1 for m in milestones):
        raise ValueError(f"milestones are shares in (0, 1), ascending; got {list(milestones)}")
    return gamma ** sum(progress >= milestone for milestone in milestones)


SCHEDULES: dict[str, Callable[..., float]] = {"cosine": cosine, "steps": steps}


def peak_share(schedule: Callable[[float], float], step: int, *, warmup: int, total: int) -> float:
    """Return the share of the peak rate at a step of `total`, counted from 0.

    Example:
        >>> [round(peak_share(cosine, step, warmup=2, total=6), 3) for step in range(6)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup:
        return (step + 1) / warmup
    return schedule((step - warmup) / (total - warmup))
