"""The same network, its outputs made a tree in another way: what a page compares, an ablation."""

from collections.abc import Mapping
from dataclasses import asdict, replace

from maskspace.loaded import Segmenter
from maskspace.partition.border_tree import read_rule
from maskspace.segmenter.border import BorderSegmenter
from maskspace.segmenter.embedding import EmbeddingSegmenter


def with_rule(model: Segmenter, options: Mapping[str, float]) -> Segmenter:
    """Return a student for photos whose tree of borders has other constants (`BorderRule`).

    Example:
        >>> import maskspace
        >>> with_rule(maskspace.load("student-tiny"), {"border": 1.0}).rule.border
        1.0
    """
    if not isinstance(model, BorderSegmenter):
        raise ValueError(f"{model.name}: no tree of borders to change; leave its rule empty")
    rule = asdict(model.rule) | dict(options)
    return replace(model, rule=read_rule({k: list(v) if isinstance(v, tuple) else v
                                          for k, v in rule.items()}))  # fmt: skip


def by_features(model: Segmenter) -> Segmenter:
    """Return a student whose tree merges regions of the nearest mean features, border or none.

    Example:
        >>> import maskspace
        >>> by_features(maskspace.load("student-tiny")).ranking
        'persistence in the merge tree, times the root of the area'
    """
    if not (isinstance(model, EmbeddingSegmenter) and model.levels):
        raise ValueError(f"{model.name}: has no features to make a tree of")
    return EmbeddingSegmenter(model.name, model.module, levels=model.levels[:2])
