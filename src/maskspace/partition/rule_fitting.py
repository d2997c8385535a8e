"""Fit a rule of the tree of borders to images whose regions people have drawn.

Input: for each image its merges, and the label maps of its annotators. Idea: both tables of the
rule are regressions; annotators give the right answer for each merge and each node. Steps: for each
merge, take the share of annotators for whom its two sides are different regions: a side is of the
region that most of it lies in. Heights are the isotonic regression of this share on the cost, as a
table. For each node, take its best IoU with a region, mean over annotators. Ranks are the least
squares of `fit_ranking` on it. Cost: nodes times regions for an image; the fits take a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.isotonic import IsotonicRegression

from maskspace.partition.border_tree import BorderMerging, BorderRule
from maskspace.partition.node_ranks import fit_ranking, node_features

#: Costs at which heights are kept; closer where most merges are.
COSTS = (0, 0.03, 0.06, 0.09, 0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8, 1)
#: Least rise of the heights over all costs, so that heights keep the order of the costs.
RISE = 2e-3
#: Regions, and nodes, below these shares of the image are left out of the fit.
LEAST_REGION, LEAST_NODE = 1 / 600, 1 / 2400


@dataclass(frozen=True, kw_only=True)
class Observed:
    """How an image merges, and what its annotators say of its merges and nodes.

    Args:
        merging: superpixels and merges of the image.
        shares: for each merge, the share of annotators who see a border there.
        qualities: for each node, its best IoU with a region, mean over annotators.

    Example:
        >>> from maskspace.partition.border_tree import merge_borders
        >>> borders = np.zeros((16, 32), np.float32)
        >>> borders[:, 16] = 1
        >>> layers = np.where(np.arange(32) <= 16, 1, 2)[None, None].repeat(16, axis=1)
        >>> observed = observe(merge_borders(borders, rule=BorderRule(), regions=16), layers)
        >>> observed.qualities[-1].item()  # IoU of the whole image with the larger region
        0.53125
    """

    merging: BorderMerging
    shares: Float64[np.ndarray, " m"]
    qualities: Float64[np.ndarray, " n"]


def observe(merging: BorderMerging, layers: Int64[np.ndarray, "a h w"]) -> Observed:
    """Return what annotators say of an image's merges and nodes.

    Args:
        merging: superpixels and merges of the image.
        layers: the label map of each annotator: regions from 1, 0 outside of them all, below 0
            where the annotator does not know.

    Example:
        >>> from maskspace.partition.border_tree import merge_borders
        >>> borders = np.zeros((16, 32), np.float32)
        >>> borders[:, 16] = 1
        >>> layers = np.where(np.arange(32) <= 16, 1, 2)[None, None].repeat(16, axis=1)
        >>> observed = observe(merge_borders(borders, rule=BorderRule(), regions=16), layers)
        >>> observed.shares.tolist()[-1]  # all see the border between the last two
        1.0
    """
    tree = merging.tree(BorderRule())
    shares = np.zeros(len(merging.merges))
    qualities, number = np.zeros(len(merging.areas)), 0
    for labels in layers:
        counts = tree.label_counts(labels)
        if not counts.size:
            continue
        first, second = counts.argmax(axis=1)[merging.merges].T
        shares += first != second
        regions = counts[:, 1:]
        regions = regions[:, regions[-1] >= LEAST_REGION * merging.areas[-1]]
        if regions.shape[1]:
            node_areas = counts.sum(axis=1, keepdims=True)
            union = np.maximum(node_areas + regions[-1] - regions, 1)
            qualities += (regions / union).max(axis=1)
            number += 1
    return Observed(
        merging=merging, shares=shares / max(len(layers), 1), qualities=qualities / max(number, 1)
    )


def fit_rule(rule: BorderRule, images: Sequence[Observed]) -> BorderRule:
    """Return the rule with heights and ranks fitted to images; its other constants stay.

    Raises ValueError where no image has a merge to fit to.

    Example:
        >>> from maskspace.partition.border_tree import merge_borders
        >>> borders = np.zeros((16, 32), np.float32)
        >>> borders[:, 16] = 1
        >>> layers = np.where(np.arange(32) <= 16, 1, 2)[None, None].repeat(16, axis=1)
        >>> merging = merge_borders(borders, rule=BorderRule(), regions=16)
        >>> fitted = fit_rule(BorderRule(), [observe(merging, layers)])
        >>> fitted.heights(np.array([0.0, 1.0])).tolist()
        [0.0, 1.0]
    """
    if not sum(len(one.shares) for one in images):
        raise ValueError("a rule cannot be fitted: no image has two superpixels")
    raised = replace(rule, costs=COSTS, shares=_heights(images), ranking=())
    features, qualities, weights = [], [], []
    for one in images:
        shapes = one.merging.shapes(raised)
        is_fitted = shapes.areas >= LEAST_NODE * shapes.areas[-1]
        features.append(node_features(shapes)[is_fitted])
        qualities.append(one.qualities[is_fitted])
        weights.append(np.sqrt(shapes.areas[is_fitted]))
    ranking = fit_ranking(
        np.concatenate(features), np.concatenate(qualities), weights=np.concatenate(weights)
    )
    return replace(raised, ranking=tuple(round(weight, 5) for weight in ranking))


def _heights(images: Sequence[Observed]) -> tuple[float, ...]:
    """Return the share of annotators at COSTS: 0 at no cost, 1 at the highest, rising between.

    The weight of a merge is the area of its smaller side. The isotonic regression is a step
    function; the table has its mean around each cost.
    """
    costs = np.concatenate([np.clip(np.maximum.accumulate(x.merging.costs), 0, 1) for x in images])
    shares = np.concatenate([x.shares for x in images])
    sides = np.concatenate([x.merging.areas[x.merging.merges].min(axis=1) for x in images])
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fitted.fit(costs, shares, sample_weight=sides)
    knots = np.array(COSTS, float)
    gaps = np.diff(knots)
    reach = np.concatenate([[0], np.minimum(gaps[:-1], gaps[1:]), [0]])
    nearby_costs = np.clip(knots[:, None] + reach[:, None] * np.linspace(-1, 1, 41), 0, 1)
    means = fitted.predict(nearby_costs.ravel()).reshape(nearby_costs.shape).mean(axis=1)
    means[0], means[-1] = 0, 1
    rising = np.maximum.accumulate(means) * (1 - RISE) + np.linspace(0, RISE, len(means))
    return tuple(np.round(np.clip(rising, 0, 1), 6).tolist())
