"""A method of somebody else's that makes a tree of an image, from which all follows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from jaxtyping import Bool, Int32

from maskspace.partition.merge_tree import MergeTree
from maskspace.peers.kinds import TreePeer
from maskspace.segmenter.last_image import LastImage
from maskspace.segmenter.protocol import ImageLike
from maskspace.segmenter.questions import (
    cannot_answer,
    checked_image,
    masks_only_session,
    some_clicks,
)
from maskspace.session import ClickLike, ClickSession
from maskspace.types import Prediction


@dataclass(frozen=True)
class TreePeerSegmenter:
    """A method that makes a tree of an image, from which all follows; the last tree is kept."""

    name: str
    peer: TreePeer
    _last: LastImage[MergeTree] = field(default_factory=LastImage, compare=False)

    @property
    def ranking(self) -> str:
        """Return what the peer's proposals are ranked by."""
        return self.peer.ranking

    def embed(self, image: ImageLike) -> NoReturn:
        """Raise ValueError: the method has no vector per pixel."""
        answers = "hierarchy, partition, propose, click and session"
        raise cannot_answer(self.name, "embed", answers=answers)

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the method's tree."""
        return self._last.get(checked_image(image), self.peer.tree)

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return the tree's partition into exactly `regions`."""
        return self.hierarchy(image).partition(regions)

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the cuts at the peer's heights, or the partitions into `counts` regions."""
        tree = self.hierarchy(image)
        for height in self.peer.heights:
            yield tree.cut(height)
        if not self.peer.heights:
            yield from (tree.partition(min(count, tree.max_regions)) for count in counts)

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return the regions of the tree, as the peer ranks them."""
        return self.peer.propose(self.hierarchy(image), limit=limit)

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, whatever their order."""
        tree = self.hierarchy(image)
        return self.peer.click(tree, some_clicks(clicks, tree.size_hw))

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load; no start mask can be given."""
        return masks_only_session(self, checked_image(image), start)
