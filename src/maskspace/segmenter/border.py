"""A student for photos: all that it answers comes from the tree of border strength."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from jaxtyping import Int32, UInt8
from torch import nn

from maskspace.config import Choice
from maskspace.heads import levels_of
from maskspace.loaded import ImageLike
from maskspace.partition.border_tree import (
    BorderMerging,
    BorderRule,
    merge_outputs,
    read_rule,
)
from maskspace.partition.merge_tree import MergeTree
from maskspace.segmenter.embedding import EmbeddingSegmenter
from maskspace.types import MapNetwork

#: Heights at which evaluation cuts: the same in every image, as a height means the same.
HEIGHTS = tuple(step / 25 for step in range(1, 25))


@dataclass(frozen=True)
class BorderSegmenter(EmbeddingSegmenter):
    """A network from images to borders; regions are nodes of the tree of `border_tree`."""

    rule: BorderRule = field(default_factory=BorderRule)

    def __post_init__(self) -> None:
        """Declare what the tree answers; features it has where the network has a level."""
        tree = {"hierarchy", "partition", "scales", "propose", "click", "session"}
        features = {"embed"} if self.levels else set()
        object.__setattr__(self, "answers", frozenset(tree | features))

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the cuts at HEIGHTS; `counts` are for trees whose heights are not comparable."""
        tree = self._tree_of(image, "scales")
        for height in HEIGHTS:
            yield tree.cut(height)

    def merging(self, image: UInt8[np.ndarray, "h w 3"]) -> BorderMerging:
        """Return how the superpixels of an image merge, which the rule's heights come from."""
        return merge_outputs(self._outputs(image), self.rule, regions=self.regions)

    def _tree(self, image: UInt8[np.ndarray, "h w 3"]) -> MergeTree:
        return self.merging(image).tree(self.rule, size_hw=(image.shape[0], image.shape[1]))


def border_segmenter(name: str, module: MapNetwork, decoder: Choice) -> BorderSegmenter:
    """Return a student whose decoder is `border_tree`, with the decoder's rule."""
    rule = read_rule(decoder.options.get("rule") or {})
    ranking = "expected IoU of a node of the tree of borders"
    if not rule.ranking:
        ranking = "persistence in the tree of borders, times the root of the area"
    levels = tuple(levels_of(module.declared))
    return BorderSegmenter(
        name, cast("nn.Module", module), levels=levels, ranking=ranking, rule=rule
    )
