"""A student for photos: all that it answers comes from the tree of border strength."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from jaxtyping import Float, Int32, UInt8
from torch import Tensor, nn

from maskspace.config import Choice, section
from maskspace.heads import DenseMap, levels_of, maps_of
from maskspace.loaded import ImageLike
from maskspace.partition.border_tree import (
    BorderMerging,
    BorderRule,
    merge_outputs,
    read_rule,
)
from maskspace.partition.merge_tree import MergeTree
from maskspace.segmenter.embedding import EmbeddingSegmenter
from maskspace.segmenter.tiles import Tiles
from maskspace.types import MapNetwork, shrink_image

#: Heights at which evaluation cuts: the same in every image, as a height means the same.
HEIGHTS = tuple(step / 25 for step in range(1, 25))


@dataclass(frozen=True)
class BorderSegmenter(EmbeddingSegmenter):
    """A network from images to borders; regions are nodes of the tree of `border_tree`.

    flips: whether outputs are the mean over the image and its mirror, for twice the network's time.
        Those of a mirrored image of an odd width are then the mirrored ones.

    Example:
        >>> import maskspace
        >>> student = maskspace.load("student-tiny")
        >>> photo = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
        >>> student.merging(photo).tree(student.rule).partition(5).max()
        np.int32(5)
    """

    rule: BorderRule = field(default_factory=BorderRule)
    flips: bool = False

    def __post_init__(self) -> None:
        """Declare what the tree answers; features it has where the network has a level."""
        tree = {"hierarchy", "graph", "partition", "scales", "propose", "click", "session"}
        features = {"embed"} if self.levels else set()
        object.__setattr__(self, "answers", frozenset(tree | features))

    @property
    def _maps(self) -> Mapping[str, DenseMap]:
        return maps_of(cast("MapNetwork", self.module).declared)

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the cuts at HEIGHTS; `counts` are for trees whose heights are not comparable."""
        tree = self._tree_of(image, "scales")
        for height in HEIGHTS:
            yield tree.cut(height)

    def _outputs(self, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, Float[Tensor, "..."]]:
        if not self.flips:
            return super()._outputs(image)
        if self.tiles is None:
            image = shrink_image(image, max_side=self.max_side)
        width = image.shape[1]
        # an odd number of columns: the mirror of the cells' grid is that grid
        odd = np.pad(image, ((0, 0), (0, 1 - width % 2), (0, 0)), mode="edge")
        seen, mirrored = super()._outputs(odd), super()._outputs(odd[:, ::-1].copy())
        columns = {head: -(-width // one.stride) for head, one in self._maps.items()}
        return {
            head: ((seen[head] + mirrored[head].flip(-1)) / 2)[..., : columns[head]]
            for head in seen
        }

    def merging(self, image: UInt8[np.ndarray, "h w 3"]) -> BorderMerging:
        """Return how the superpixels of an image merge, which the rule's heights come from."""
        return merge_outputs(self._outputs(image), self.rule, regions=self.regions)

    def _tree(self, image: UInt8[np.ndarray, "h w 3"]) -> MergeTree:
        return self.merging(image).tree(self.rule, size_hw=(image.shape[0], image.shape[1]))


@section
class BorderOptions:
    """Options of a student for photos by name, as in `student@flips=true`.

    Args:
        flips: average over the image and its mirror (default false); see `BorderSegmenter`.
        max_side: pixels a side above which an image is worked on at a smaller size, at least 32
            (default 1024).
        regions: superpixels that an image has at least, if it has the pixels (default 1024).
        tile: side of tiles in pixels, a multiple of 32, for images to be worked on at their own
            size, whatever `max_side` (default 0: no tiles).

    Example:
        >>> BorderOptions(flips=True).max_side
        1024
    """

    flips: bool = False
    max_side: int = 1024
    regions: int = 1024
    tile: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes without an answer."""
        if self.max_side < 32 or self.regions < 1:
            raise ValueError("max_side is at least 32, regions at least 1")
        if self.tile:
            Tiles(side=self.tile)

    def of(self, model: BorderSegmenter) -> BorderSegmenter:
        """Return the model with these options."""
        return replace(
            model,
            flips=self.flips,
            max_side=self.max_side,
            regions=self.regions,
            tiles=Tiles(side=self.tile) if self.tile else None,
        )


def border_segmenter(name: str, module: MapNetwork, decoder: Choice) -> BorderSegmenter:
    """Return a student whose decoder is `border_tree`, with the decoder's rule.

    Example:
        >>> from maskspace.bundled import model_folder
        >>> from maskspace.models import load_model
        >>> network = load_model(model_folder("student-tiny"))
        >>> border_segmenter("mine", network, network.decoder).name
        'mine'
    """
    rule = read_rule(decoder.options.get("rule") or {})
    ranking = "expected IoU of a node of the tree of borders"
    if not rule.ranking:
        ranking = "persistence in the tree of borders, times the root of the area"
    levels = tuple(levels_of(module.declared))
    return BorderSegmenter(
        name, cast("nn.Module", module), levels=levels, ranking=ranking, rule=rule
    )
