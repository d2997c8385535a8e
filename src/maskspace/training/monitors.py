"""Does it still go well? Spread of the output, a verdict on collapse, terms, better figures."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from maskspace.training.config import EarlyStop


def feature_std(embedding: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the standard deviation over the pixels of an image, averaged over channels and images.

    For colours in [0, 1] it is at most 0.5; 0 is a constant output.
    """
    return embedding.float().flatten(2).std(dim=2, correction=0).mean()


def collapse_verdict(std: float, *, floor: float = 1e-3) -> str | None:
    """Return why the features count as collapsed, or None.

    A constant output fulfils every pull term and is a stationary point of every push term, so no
    loss value shows it by itself.
    """
    if std >= floor:
        return None
    return (
        f"collapsed: the features vary by {std:.1e} within an image (below {floor:.0e}), "
        "a constant output; raise the push, the learning rate, or change the objective"
    )


def mean_terms(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    """Return the mean of each term over steps; only here training waits for the device."""
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}


def refuse_broken(rows: list[dict[str, Tensor]], *, first: int) -> None:
    """Raise ValueError with the first step and the terms that are NaN or infinite in these rows.

    Rows follow each other from step `first`, counted from 1. Waits for the device.
    """
    names = list(rows[0])
    broken = ~torch.stack([torch.stack(list(row.values())) for row in rows]).isfinite().cpu()
    if broken.any():
        index = int(broken.any(dim=1).nonzero()[0])
        terms = ", ".join(name for name, bad in zip(names, broken[index], strict=True) if bad)
        raise ValueError(
            f"training: {terms} became NaN or infinite at step {first + index}; lower learning_rate"
        )


def validations_since_best(history: list[dict[str, float]], rule: EarlyStop) -> int:
    """Return how many validations ago the monitored figure was best; a tie is no improvement."""
    for row in history:
        if rule.monitor not in row:
            known = ", ".join(name for name in row if name.startswith("val_"))
            raise ValueError(f"early_stop: {rule.monitor} is not measured; monitor one of {known}")
    sign = {"min": -1, "max": 1}[rule.mode]
    values = [sign * row[rule.monitor] for row in history]
    ranked = [-math.inf if math.isnan(value) else value for value in values]
    return len(ranked) - 1 - ranked.index(max(ranked))


def has_stopped(history: list[dict[str, float]], rule: EarlyStop | None) -> bool:
    """Return whether a training with this history ends here by the rule, if it has one."""
    if rule is None or not history:
        return False
    return validations_since_best(history, rule) >= rule.patience
