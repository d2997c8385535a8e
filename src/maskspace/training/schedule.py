"""Learning rate against step: linear warm-up, then a cosine."""

import math

from maskspace.training.config import Optimisation


def learning_rate(optimisation: Optimisation, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    peak, warmup = optimisation.learning_rate, optimisation.warmup
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, optimisation.steps - warmup)
    low = peak * optimisation.final_share
    return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * progress))
