"""How sure the numbers are: intervals over images, and pairs of models on the same images."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from maskspace.evaluation.findings import Comparison
from maskspace.evaluation.measures import Figure
from maskspace.evaluation.rows import Row
from maskspace.metrics.bootstrap import (
    Difference,
    confidence_interval,
    difference_of,
    drawn_images,
    interval_of,
    paired_difference,
)

Limits = dict[str, float]


def intervals(
    rows: Sequence[Row], figures: Mapping[str, Figure], *, seed: int
) -> dict[str, Limits]:
    """Return `low` and `high` of the 95 % interval of each figure of a model that has one.

    Images are resampled. No figure has an interval if fewer than two images have masks.

    Example:
        >>> rows = [
        ...     Row(
        ...         dataset="d",
        ...         model="student",
        ...         key=key,
        ...         masks=1,
        ...         masks_too_small=0,
        ...         kept={"dice_at_1": [dice]},
        ...     )
        ...     for key, dice in (("a", 0.5), ("b", 0.9))
        ... ]
        >>> figures = {"dice_at_1": Figure(name="dice_at_1", measure="dice_at_1")}
        >>> limits = intervals(rows, figures, seed=0)["dice_at_1"]
        >>> limits["low"] <= 0.7 <= limits["high"]
        True
    """
    limits: dict[str, Limits] = {}
    for names, sums, weights in _sums(rows, figures):
        if (weights > 0).sum() < 2:
            continue
        bounds = confidence_interval(sums, weights, generator=np.random.default_rng(seed))
        pairs = zip(names, bounds.low, bounds.high, strict=True)
        limits |= {name: {"low": float(low), "high": float(high)} for name, low, high in pairs}
    for name, (value, resampled) in _pooled(rows, figures, seed).items():
        bounds = interval_of(value, resampled)
        limits[name] = {"low": float(bounds.low[0]), "high": float(bounds.high[0])}
    return {name: limits[name] for name in figures if name in limits}


def comparisons(
    rows: Sequence[Row], figures: Mapping[str, Figure], *, seed: int
) -> Iterator[Comparison]:
    """Yield the comparison of every pair of models by every figure that both have.

    A figure whose weights differ between the two models is left out, such as a quotient of numbers
    that each model found: the difference is then no mean over masks.

    Example:
        >>> rows = [
        ...     Row(
        ...         dataset="d",
        ...         model=model,
        ...         key=key,
        ...         masks=1,
        ...         masks_too_small=0,
        ...         kept={"dice_at_1": [dice]},
        ...     )
        ...     for model, key, dice in (
        ...         ("one", "a", 0.8),
        ...         ("one", "b", 0.9),
        ...         ("two", "a", 0.6),
        ...         ("two", "b", 0.7),
        ...     )
        ... ]
        >>> figures = {"dice_at_1": Figure(name="dice_at_1", measure="dice_at_1")}
        >>> [
        ...     (pair.model, pair.other, round(pair.difference, 3))
        ...     for pair in comparisons(rows, figures, seed=0)
        ... ]
        [('one', 'two', 0.2)]
    """
    rows_of = {
        model: [row for row in rows if row.model == model]
        for model in dict.fromkeys(row.model for row in rows)
    }
    of_model = {model: _sums(of_one, figures) for model, of_one in rows_of.items()}
    pooled = {model: _pooled(of_one, figures, seed) for model, of_one in rows_of.items()}
    for model, other in combinations(of_model, 2):
        pairs_of_models = [
            comparison
            for one in of_model[model]
            for second in of_model[other]
            if np.array_equal(one.weights, second.weights) and (one.weights > 0).sum() >= 2
            for comparison in _compared(model, other, one, second, seed)
        ]
        pairs_of_models += _compared_pools(model, other, pooled[model], pooled[other])
        order = list(figures)
        yield from sorted(pairs_of_models, key=lambda comparison: order.index(comparison.measure))


def _compared(
    model: str, other: str, first: "_Sums", second: "_Sums", seed: int
) -> Iterator[Comparison]:
    shared = [name for name in first.names if name in second.names]
    if not shared:
        return
    difference = paired_difference(
        first.sums[:, [first.names.index(name) for name in shared]],
        second.sums[:, [second.names.index(name) for name in shared]],
        first.weights,
        generator=np.random.default_rng(seed),
    )
    yield from _comparisons(model, other, shared, difference)


def _compared_pools(
    model: str, other: str, first: "_Pools", second: "_Pools"
) -> Iterator[Comparison]:
    """Yield what two models differ by in figures that are no means."""
    for name in first:
        if name in second and first[name][1].shape == second[name][1].shape:
            (value, drawn), (other_value, other_drawn) = first[name], second[name]
            difference = difference_of(value - other_value, drawn - other_drawn)
            yield from _comparisons(model, other, [name], difference)


def _comparisons(
    model: str, other: str, names: Sequence[str], difference: Difference
) -> Iterator[Comparison]:
    for index, name in enumerate(names):
        yield Comparison(
            measure=name,
            model=model,
            other=other,
            difference=float(difference.value[index]),
            low=float(difference.low[index]),
            high=float(difference.high[index]),
            p_value=float(difference.p_value[index]),
        )


#: Figures that are no means, by name: the number, and that of each resample.
_Pools = dict[str, tuple[Float64[np.ndarray, " 1"], Float64[np.ndarray, "r 1"]]]


def _pooled(rows: Sequence[Row], figures: Mapping[str, Figure], seed: int) -> _Pools:
    """Return a model's figures that pool images otherwise than as a mean."""
    measured = sorted((row for row in rows if row.masks), key=lambda row: row.key)
    pools: _Pools = {}
    for name, figure in figures.items():
        kept = [row.kept[figure.measure] for row in measured if figure.measure in row.kept]
        if not figure.interval or figure.pool is None or len(kept) < max(2, len(measured)):
            continue
        drawn = [
            number
            for times in drawn_images(len(kept), generator=np.random.default_rng(seed))
            for number in figure.pool(kept, times)
        ]
        pools[name] = np.array([figure.of_dataset(kept)]), np.array(drawn)[:, None]
    return pools


class _Sums(NamedTuple):
    """Figures whose images weigh the same: their names, and what each image's values sum to."""

    names: list[str]
    sums: Float64[np.ndarray, "n k"]
    weights: Float64[np.ndarray, " n"]


def _sums(rows: Sequence[Row], figures: Mapping[str, Figure]) -> list[_Sums]:
    """Return the sums of a model's figures that have intervals, those of equal weights together."""
    measured = sorted((row for row in rows if row.masks), key=lambda row: row.key)
    groups: dict[tuple[float, ...], dict[str, list[float]]] = {}
    for name, figure in figures.items():
        kept = [row.kept[figure.measure] for row in measured if figure.measure in row.kept]
        if not figure.interval or figure.share is None or len(kept) < len(measured):
            continue
        shares = [figure.share(of_image) for of_image in kept]
        weights = tuple(float(weight) for _, weight in shares)
        groups.setdefault(weights, {})[name] = [math.fsum(values) for values, _ in shares]
    return [
        _Sums(list(by_name), np.array(list(by_name.values())).T, np.array(weights))
        for weights, by_name in groups.items()
    ]
