"""A method of somebody else's that answers clicks or proposals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32
from torch import nn

from maskspace.loaded import Answer, ImageLike, Segmenter, cannot_answer
from maskspace.peers.kinds import Peer
from maskspace.segmenter.last_image import LastImage
from maskspace.segmenter.questions import (
    checked_image,
    masks_only_session,
    some_clicks,
)
from maskspace.session import ClickLike, ClickSession
from maskspace.types import ClickAnswer, Prediction


@dataclass(frozen=True)
class PeerSegmenter(Segmenter):
    """A method that answers clicks or proposals; what it found out of the last image is kept."""

    name: str
    peer: Peer
    ranking: str = field(init=False)
    answers: frozenset[Answer] = field(init=False)
    _last: LastImage[ClickAnswer] = field(default_factory=LastImage, compare=False)

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
        return self.peer.propose(checked_image(image), limit=limit)

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the method's partitions, one a scale of its own; `counts` are not read."""
        if self.peer.scales is None:
            raise cannot_answer(self, "scales")
        yield from self.peer.scales(checked_image(image))

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, whatever their order."""
        if self.peer.click is None:
            raise cannot_answer(self, "click")
        rgb = checked_image(image)
        checked = some_clicks(clicks, (rgb.shape[0], rgb.shape[1]))
        return self._last.get(rgb, self.peer.click)(checked)

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load; no start mask can be given."""
        if self.peer.click is None:
            raise cannot_answer(self, "session")
        return masks_only_session(self, checked_image(image), start)
