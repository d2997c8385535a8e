"""A method of somebody else's that answers clicks or proposals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32
from torch import nn

from maskspace.loaded import Answer, ImageLike, Segmenter, cannot_answer
from maskspace.masks import enlarge
from maskspace.peers.kinds import Peer
from maskspace.segmenter.last_image import LastImage
from maskspace.segmenter.questions import (
    checked_image,
    masks_only_session,
    some_clicks,
    workable,
)
from maskspace.session import ClickLike, ClickSession
from maskspace.types import ClickAnswer, Prediction


@dataclass(frozen=True)
class PeerSegmenter(Segmenter):
    """A method that answers clicks or proposals; what it found out of the last image is kept.

    Example:
        >>> from maskspace.peers import PEERS
        >>> sorted(PeerSegmenter("flood-fill", PEERS["flood-fill"]).answers)
        ['click', 'session']
    """

    name: str
    peer: Peer
    ranking: str = field(init=False)
    answers: frozenset[Answer] = field(init=False)
    _last: LastImage[ClickAnswer] = field(init=False, default_factory=LastImage, compare=False)

    def __post_init__(self) -> None:
        """Declare what the method can answer."""
        click = {"click", "session"} if self.peer.click else set()
        named = {name for name in ("propose", "scales") if getattr(self.peer, name)}
        object.__setattr__(self, "ranking", self.peer.ranking)
        object.__setattr__(self, "answers", frozenset(named | click))

    def networks(self) -> list[nn.Module]:
        """Return the networks whose weights decide what the method answers."""
        return [] if self.peer.network is None else [self.peer.network()]

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return the method's regions."""
        if self.peer.propose is None:
            raise cannot_answer(self, "propose")
        small = workable(checked_image(image))
        return self.peer.propose(small.image, limit=limit).at(small.size_hw)

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the method's partitions, one a scale of its own; `counts` are not read."""
        if self.peer.scales is None:
            raise cannot_answer(self, "scales")
        small = workable(checked_image(image))
        for labels in self.peer.scales(small.image):
            yield enlarge(labels, small.size_hw)

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, whatever their order."""
        if self.peer.click is None:
            raise cannot_answer(self, "click")
        small = workable(checked_image(image))
        inside = [small.click(click) for click in some_clicks(clicks, small.size_hw)]
        return small.enlarge(self._last.get(small.image, self.peer.click)(inside))

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load; no start mask can be given."""
        if self.peer.click is None:
            raise cannot_answer(self, "session")
        return masks_only_session(self, checked_image(image), start)
