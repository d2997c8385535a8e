"""A network from images to features, and what reads instances off them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, UInt8
from torch import Tensor, nn

from maskspace.config import Choice, choose
from maskspace.heads import levels_of
from maskspace.loaded import Answer, ImageLike, Segmenter, cannot_answer
from maskspace.partition import DECODERS
from maskspace.partition.merge_tree import MergeTree, build_tree
from maskspace.partition.region_graph import RegionGraph
from maskspace.partition.resample import stack_levels
from maskspace.partition.tree_clicks import click_mask
from maskspace.prediction import Prediction
from maskspace.segmenter.last_image import LastImage
from maskspace.segmenter.questions import (
    checked_image,
    masks_only_session,
    some_clicks,
)
from maskspace.segmenter.tiles import Tiles, tileable_heads, tiled_outputs
from maskspace.session import ClickLike, ClickSession
from maskspace.types import Category, Embedding, MapNetwork, shrink_image


@dataclass(frozen=True)
class EmbeddingSegmenter(Segmenter):
    """A network from images to features; regions are nodes of their merge tree.

    Features are in [0, 1] where the network emits colours, and where it has a decoder whatever its
    objective makes of them. Then proposals are what `decode` finds, not the nodes of the tree.

    `levels` are the strides whose features the tree is built on, their differences times
    `contrast`. Images longer than `max_side` pixels are embedded at that size, and regions brought
    back by nearest neighbour. The tree of the last image is kept, so that many questions on one
    image cost one pass. With `tiles` an image is worked on at its own size, whatever `max_side`,
    and the network sees it tile by tile; the tree is one, of the whole image.

    Example:
        >>> from maskspace.models.unet import build_unet
        >>> model = EmbeddingSegmenter("mine", build_unet(width=4, depth=2), levels=(1, 2))
        >>> model.partition(np.zeros((16, 24, 3), np.uint8), 6).max()
        np.int32(6)
    """

    name: str
    module: nn.Module
    levels: tuple[int, ...] = (1, 2)
    max_side: int = 1024
    regions: int = 1024
    contrast: float = 1.0
    ranking: str = "persistence in the merge tree, times the root of the area"
    decode: Callable[[Mapping[str, Tensor]], Prediction] | None = None
    categories: tuple[Category, ...] = ()
    tiles: Tiles | None = None
    answers: frozenset[Answer] = field(init=False)
    _last: LastImage[MergeTree] = field(init=False, default_factory=LastImage, compare=False)

    def __post_init__(self) -> None:
        """Declare what the network can answer: without a level there is nothing but proposals."""
        tree = {"embed", "hierarchy", "graph", "partition", "click", "session"}
        classes = {"classes"} if self.categories else set()
        answers = {"propose"} | (tree if self.levels else set()) | classes
        object.__setattr__(self, "answers", frozenset(answers))

    def networks(self) -> list[nn.Module]:
        """Return the network."""
        return [self.module]

    def embed(self, image: ImageLike) -> Embedding:
        """Return the network's levels for the image, shrunk to at most `max_side` pixels a side."""
        self._require("embed")
        return self._embed(checked_image(image))

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the merge tree of the image's features."""
        return self._tree_of(image, "hierarchy")

    def graph(self, image: ImageLike) -> RegionGraph:
        """Return the graph that the tree was made of, with the features of each superpixel."""
        graph = self._tree_of(image, "graph").graph
        assert graph is not None  # trees of features and of borders keep theirs
        return graph

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return the tree's partition into exactly `regions`."""
        return self._tree_of(image, "partition").partition(regions)

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return the tree's longest-lived nodes, or what the network's decoder finds."""
        if self.decode is None:
            return self.hierarchy(image).proposals(limit)
        rgb = checked_image(image)
        found = self.decode(self._outputs(rgb)).at((rgb.shape[0], rgb.shape[1]))
        return found.ranked(limit=limit)

    def click(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        *,
        start: Bool[np.ndarray, "h w"] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, each a correction of the ones before it.

        By the rule of `click_mask`. `start` is the mask that the first one corrects, empty if None.
        """
        tree = self._tree_of(image, "click")
        return click_mask(tree, some_clicks(clicks, tree.size_hw), start=start)

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load, beginning with none."""
        self._require("session")
        return masks_only_session(self, checked_image(image), start, click=self.click)

    def _require(self, question: Answer) -> None:
        if question not in self.answers:
            raise cannot_answer(self, question)

    def _tree_of(self, image: ImageLike, question: Answer) -> MergeTree:
        self._require(question)
        return self._last.get(checked_image(image), self._tree)

    def _embed(self, image: UInt8[np.ndarray, "h w 3"]) -> Embedding:
        outputs = self._outputs(image)
        return Embedding({s: x.float().cpu().numpy() for s, x in levels_of(outputs).items()})

    def _outputs(self, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, Float[Tensor, "..."]]:
        if self.tiles is not None:
            return self._tiled(image, self.tiles)
        return self._looked(shrink_image(image, max_side=self.max_side))

    def _tiled(
        self, image: UInt8[np.ndarray, "h w 3"], tiles: Tiles
    ) -> dict[str, Float[Tensor, "..."]]:
        network = cast("MapNetwork", self.module)
        heads = tileable_heads(network.declared, name=self.name)
        margins = getattr(self.module, "margins", None)  # of a network that pads images itself
        return tiled_outputs(self._looked, image, tiles, heads=heads, margins=margins)

    def _looked(self, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, Float[Tensor, "..."]]:
        weight = next(self.module.parameters(), torch.zeros(()))
        pixels = torch.from_numpy(image).to(weight.device).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return {head: x[0].float() for head, x in self.module(pixels).items()}

    def _tree(self, image: UInt8[np.ndarray, "h w 3"]) -> MergeTree:
        features = stack_levels(self._embed(image).levels, self.levels)
        if self.contrast != 1:
            features = features * np.float32(self.contrast)
        return build_tree(features, size_hw=(image.shape[0], image.shape[1]), regions=self.regions)


def finds_instances(model: Segmenter) -> bool:
    """Return whether a model is a student whose decoder finds instances, not a tree of regions.

    Example:
        >>> import maskspace
        >>> student = maskspace.load("student-tiny")
        >>> finds_instances(student)
        False
    """
    return isinstance(model, EmbeddingSegmenter) and model.decode is not None


def in_tiles(model: Segmenter, *, side: int) -> Segmenter:
    """Return a student that works on images at their own size, tile by tile.

    Raises ValueError for another model, and for a side that is no multiple of 32.

    Example:
        >>> import maskspace
        >>> in_tiles(maskspace.load("student-tiny"), side=512).tiles.side
        512
        >>> in_tiles(maskspace.load("lab"), side=512)
        Traceback (most recent call last):
            ...
        ValueError: lab sees images as a whole; tiles are for students
    """
    if not isinstance(model, EmbeddingSegmenter):
        raise ValueError(f"{model.name} sees images as a whole; tiles are for students")
    tileable_heads(cast("MapNetwork", model.module).declared, name=model.name)
    return replace(model, tiles=Tiles(side=side))


def decoder_of(model: Segmenter) -> Choice | None:
    """Return what makes instances of a student's outputs; None if its merge tree, or no student.

    Example:
        >>> import maskspace
        >>> decoder_of(maskspace.load("student-tiny")).name
        'border_tree'
    """
    module = next(iter(model.networks()), None)
    return module.decoder if isinstance(module, MapNetwork) else None


def redecoded(model: Segmenter, decoder: Choice) -> Segmenter:
    """Return a student, with the same network, that another decoder reads.

    Example:
        >>> from maskspace.models.unet import build_unet
        >>> heads = {"1": {"kind": "level", "channels": 2, "stride": 1}}
        >>> network = build_unet(width=4, depth=2, heads=heads)
        >>> student = EmbeddingSegmenter("mine", network, levels=(1,))
        >>> chosen = Choice(name="mean_shift", options={})
        >>> redecoded(student, chosen).decode is not None
        True
    """
    assert isinstance(model, EmbeddingSegmenter)
    return replace(
        model,
        decode=choose(DECODERS, decoder, kind="decoder"),
        ranking=f"score of the decoder {decoder.name}",
    )
