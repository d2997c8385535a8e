"""A method of somebody else's that makes a tree of an image, from which all follows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32

from maskspace.loaded import Answer, ImageLike, Segmenter
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.region_graph import RegionGraph
from maskspace.peers.kinds import TreePeer
from maskspace.peers.lab import colour_graph
from maskspace.segmenter.last_image import LastImage
from maskspace.segmenter.questions import (
    checked_image,
    masks_only_session,
    some_clicks,
)
from maskspace.session import ClickLike, ClickSession
from maskspace.types import Prediction


@dataclass(frozen=True)
class TreePeerSegmenter(Segmenter):
    """A method that makes a tree of an image, from which all follows; the last tree is kept.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> from maskspace.peers import PEERS
        >>> TreePeerSegmenter("lab", PEERS["lab"]).partition(halves, 2)[0, ::4].tolist()
        [1, 1, 2, 2]
    """

    name: str
    peer: TreePeer
    ranking: str = field(init=False)
    answers: frozenset[Answer] = frozenset(
        {"hierarchy", "graph", "partition", "scales", "propose", "click", "session"}
    )
    _last: LastImage[MergeTree] = field(init=False, default_factory=LastImage, compare=False)

    def __post_init__(self) -> None:
        """Take the ranking from the peer."""
        object.__setattr__(self, "ranking", self.peer.ranking)

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the method's tree."""
        return self._last.get(checked_image(image), self.peer.tree)

    def graph(self, image: ImageLike) -> RegionGraph:
        """Return the tree's own graph, or else that of its superpixels in CIELAB colours."""
        rgb = checked_image(image)
        tree = self.hierarchy(rgb)
        return tree.graph or colour_graph(rgb, tree.superpixels)

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

    def click(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        *,
        start: Bool[np.ndarray, "h w"] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, each a correction of the ones before it.

        `start` is the mask that the first one corrects, empty if None.
        """
        tree = self.hierarchy(image)
        return self.peer.click(tree, some_clicks(clicks, tree.size_hw), start=start)

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load, beginning with none."""
        return masks_only_session(self, checked_image(image), start, click=self.click)
