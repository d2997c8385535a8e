"""Checks of a training: spread of the output, collapse, broken terms, better figures."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from maskspace.heads import level_name, levels_of
from maskspace.training.config import EarlyStop

#: Steps between two looks at the outputs: a collapse is named within a hundred steps.
WATCH_EVERY = 50
#: Where outputs count as constant, in units of the features; of chance, a variance ratio is about
#: the number of instances over that of pixels; gradients and losses that are 0 but for rounding.
STD_FLOOR, RATIO_FLOOR, GRADIENT_FLOOR, LOSS_FLOOR = 1e-3, 1e-2, 1e-7, 1e-4


def feature_std(embedding: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the standard deviation over the pixels of an image, mean over channels and images.

    For colours in [0, 1] it is at most 0.5; it is 0 for a constant output.

    Example:
        >>> feature_std(torch.zeros(1, 3, 4, 4)).item()
        0.0
        >>> feature_std(torch.tensor([[[[0.0, 1.0]]]])).item()
        0.5
    """
    return embedding.float().flatten(2).std(dim=2, correction=0).mean()


def collapse_verdict(figures: Mapping[str, float]) -> str | None:
    """Return in words why the outputs that these figures describe have collapsed; None if not.

    A constant output fulfils every pull term and is a stationary point of most push terms, so that
    no loss value shows it. Outputs count as collapsed if
    - they are constant (the embedding at any level; all heads of a network without an embedding),
    - the means of their instances coincide, or
    - their loss is above 0 and has no gradient.

    Args:
        figures: figures as in a row of the history, with or without `val_`: `std`, `std/HEAD`,
            `between_within/HEAD`, `gradient`, `loss`.

    Example:
        >>> collapse_verdict({"val_std": 0.2, "val_loss": 1.0})
        >>> collapse_verdict({"val_std": 0.0})[:51]
        'collapsed: the features vary by 0.0e+00 within an i'
    """
    known = {name.removeprefix("val_"): value for name, value in figures.items()}
    return _constant(known) or _coincident(known) or _stationary(known)


def _constant(known: Mapping[str, float]) -> str | None:
    spread = {
        name.partition("/")[2]: value
        for name, value in known.items()
        if name.partition("/")[0] == "std"
    }
    levels = {level_name(s): value for s, value in levels_of(spread).items()}
    if not spread:
        return None
    # beside an embedding, heads may begin constant; without one, all that is constant has collapsed
    choice = min(levels, key=levels.__getitem__) if levels else max(spread, key=spread.__getitem__)
    if spread[choice] >= STD_FLOOR:
        return None
    head = f" of head {choice}" if choice else ""
    return (
        f"collapsed: the features{head} vary by {spread[choice]:.1e} within an image "
        f"(below {STD_FLOOR:.0e}), a constant output; raise the push, the learning rate, "
        "or change the objective"
    )


def _coincident(known: Mapping[str, float]) -> str | None:
    for name, ratio in known.items():
        kind, _, level = name.partition("/")
        has_two = known.get(f"mean_distance/{level}", 0.0) > 0
        if kind == "between_within" and has_two and ratio < RATIO_FLOOR:
            return (
                f"collapsed: the means of the instances of head {level} coincide, their variance "
                f"is {ratio:.1e} of that within instances (below {RATIO_FLOOR:.0e}), and a push "
                "has no direction there; raise the push or the bandwidth, or change the objective"
            )
    return None


def _stationary(known: Mapping[str, float]) -> str | None:
    gradient, loss = known.get("gradient", math.inf), known.get("loss", 0.0)
    if gradient >= GRADIENT_FLOOR or loss <= LOSS_FLOOR:
        return None
    return (
        f"collapsed: the loss is {loss:.2g} and its gradient at the outputs {gradient:.1e}, "
        "a stationary point; raise the margins or the bandwidth"
    )


def mean_terms(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    """Return the mean of each term over steps. Training waits for the device here alone.

    Example:
        >>> mean_terms([{"pull": torch.tensor(1.0)}, {"pull": torch.tensor(3.0)}])
        {'pull': 2.0}
    """
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}


def no_keys(step: int) -> Sequence[str]:
    """Return no keys, for a task whose samples have none.

    Example:
        >>> no_keys(7)
        ()
    """
    del step
    return ()


def refuse_broken(
    rows: list[dict[str, Tensor]], *, first: int, keys: Callable[[int], Sequence[str]] = no_keys
) -> None:
    """Raise ValueError with the first step, and its terms, that are NaN or infinite.

    Waits for the device.

    Args:
        rows: the terms of successive steps.
        first: number of the first of these steps, from 1.
        keys: returns the keys of the samples of a step, counted from 0, which the error names
            (default: none).

    Example:
        >>> rows = [{"pull": torch.tensor(1.0)}, {"pull": torch.tensor(math.nan)}]
        >>> refuse_broken(rows, first=11)
        Traceback (most recent call last):
            ...
        ValueError: training: pull became NaN or infinite at step 12; lower learning_rate
    """
    names = list(rows[0])
    broken = ~torch.stack([torch.stack(list(row.values())) for row in rows]).isfinite().cpu()
    if broken.any():
        index = int(broken.any(dim=1).nonzero()[0])
        terms = ", ".join(name for name, bad in zip(names, broken[index], strict=True) if bad)
        seen = ", ".join(keys(first + index - 1))
        batch = f"; its samples were {seen}" if seen else ""
        raise ValueError(
            f"training: {terms} became NaN or infinite at step {first + index}{batch}; "
            "lower learning_rate"
        )


def validations_since_best(history: list[dict[str, float]], rule: EarlyStop) -> int:
    """Return how many validations ago the monitored figure was best; a tie is no improvement.

    ValueError if the figure is not measured.

    Example:
        >>> history = [{"val_iou": 0.5}, {"val_iou": 0.7}, {"val_iou": 0.6}]
        >>> validations_since_best(history, EarlyStop(monitor="val_iou", mode="max", patience=3))
        1
    """
    for row in history:
        if rule.monitor not in row:
            known = ", ".join(name for name in row if name.startswith("val_"))
            raise ValueError(f"early_stop: {rule.monitor} is not measured; monitor one of {known}")
    sign = {"min": -1, "max": 1}[rule.mode]
    values = [sign * row[rule.monitor] for row in history]
    ranked = [-math.inf if math.isnan(value) else value for value in values]
    return len(ranked) - 1 - ranked.index(max(ranked))


def has_stopped(history: list[dict[str, float]], rule: EarlyStop | None) -> bool:
    """Return whether a training with this history ends here by the rule; never without one.

    Example:
        >>> history = [{"val_iou": 0.7}, {"val_iou": 0.6}]
        >>> has_stopped(history, EarlyStop(monitor="val_iou", mode="max", patience=1))
        True
        >>> has_stopped(history, None)
        False
    """
    if rule is None or not history:
        return False
    return validations_since_best(history, rule) >= rule.patience
