"""How sure the numbers are: intervals over images, and two models on the same images."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int64

from maskspace.evaluation.findings import Comparison
from maskspace.evaluation.rows import Row
from maskspace.metrics.bootstrap import confidence_interval, paired_difference
from maskspace.metrics.recall import THRESHOLDS

Limits = dict[str, float]


def intervals(rows: Sequence[Row], *, seed: int) -> dict[str, Limits]:
    """Return `low` and `high` of the 95 % interval of each mean over the masks of a model.

    Of `miou_at_1_RUN`, `mean_best_iou_COUNT` and `ar_COUNT`, by resampling images; empty where
    fewer than two images have masks.
    """
    names, sums, counts = _sums(rows)
    if len(counts) < 2 or not names:
        return {}
    found = confidence_interval(sums, counts, generator=np.random.default_rng(seed))
    return {
        name: {"low": float(low), "high": float(high)}
        for name, low, high in zip(names, found.low, found.high, strict=True)
    }


def comparisons(rows: Sequence[Row], *, seed: int) -> Iterator[Comparison]:
    """Yield every pair of models by every mean that both have, on the images of a dataset."""
    for model, other in combinations(dict.fromkeys(row.model for row in rows), 2):
        names, first, counts = _sums([row for row in rows if row.model == model])
        others, second, _ = _sums([row for row in rows if row.model == other])
        both = [name for name in names if name in others]
        if len(counts) < 2 or not both:
            continue
        found = paired_difference(
            first[:, [names.index(name) for name in both]],
            second[:, [others.index(name) for name in both]],
            counts,
            generator=np.random.default_rng(seed),
        )
        for index, name in enumerate(both):
            yield Comparison(
                measure=name,
                model=model,
                other=other,
                difference=float(found.value[index]),
                low=float(found.low[index]),
                high=float(found.high[index]),
                p_value=float(found.p_value[index]),
            )


def _sums(
    rows: Sequence[Row],
) -> tuple[list[str], Float64[np.ndarray, "n k"], Int64[np.ndarray, " n"]]:
    """Return names of means, what each sums to over the masks of an image, and their numbers."""
    seen = sorted((row for row in rows if row.masks), key=lambda row: row.key)
    columns: dict[str, list[float]] = {}
    for row in seen:
        for run in row.click_ious:
            columns.setdefault(f"miou_at_1_{run}", []).append(sum(row.first_ious(run)))
        for count, best in row.best_iou.items():
            columns.setdefault(f"mean_best_iou_{count}", []).append(sum(best))
        for count, matched in row.matched.items():
            columns.setdefault(f"ar_{count}", []).append(matched / len(THRESHOLDS))
    sums = np.array(list(columns.values()), np.float64).reshape(len(columns), len(seen)).T
    return list(columns), sums, np.array([row.masks for row in seen], np.int64)
