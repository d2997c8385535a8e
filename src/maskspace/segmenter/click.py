"""A click model; proposals come from a grid of clicks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from torch import nn

from maskspace.loaded import Answer, ImageLike, Segmenter
from maskspace.partition.grid_clicks import ClickGrid, propose_from_clicks
from maskspace.partition.image_editor import ImageEditor
from maskspace.segmenter.last_image import LastImage
from maskspace.segmenter.questions import checked_image, some_clicks
from maskspace.session import ClickLike, ClickSession
from maskspace.types import ClickModel, Prediction, network_answers

#: What the orders of a grid of clicks are, for tables.
CLICK_RANKINGS = {
    "stability": "stability of the click's map",
    "predicted_iou": "IoU that the click's map predicts of its mask",
    "mean_score": "mean of the stability of the click's map and the IoU that it predicts",
}

#: What every click model answers.
CLICK_ANSWERS: frozenset[Answer] = frozenset({"propose", "click", "click_probabilities", "session"})


@dataclass(frozen=True)
class ClickSegmenter(Segmenter):
    """A click model; proposals come from a grid of clicks.

    `working_side` is the side of the square that images are stretched to, if it is known. What was
    computed for the last image is kept, so that one more click costs one decode.
    """

    name: str
    model: ClickModel
    grid: ClickGrid = field(default_factory=ClickGrid)
    ranking: str = field(init=False)
    answers: frozenset[Answer] = field(init=False)
    working_side: int | None = field(init=False)
    _last: LastImage[ImageEditor] = field(init=False, default_factory=LastImage, compare=False)

    def __post_init__(self) -> None:
        """Declare what the network can answer, and how."""
        size = getattr(self.model, "working_side", None)
        answers = CLICK_ANSWERS | (network_answers(self.model) & {"refine"})
        object.__setattr__(self, "ranking", CLICK_RANKINGS[self.grid.ranking])
        object.__setattr__(self, "answers", answers)
        object.__setattr__(self, "working_side", size)

    def networks(self) -> list[nn.Module]:
        """Return the network."""
        return [self.model] if isinstance(self.model, nn.Module) else []

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return the masks of a grid of clicks without near-duplicates, best first."""
        return propose_from_clicks(self.model, checked_image(image), limit=limit, grid=self.grid)

    def click(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        *,
        level: float = 0.5,
        start: Bool[np.ndarray, "h w"] | None = None,
        rule: str = "claims",
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the clicks, each map cut at the probability `level` in (0, 1).

        By the rules of `combine_clicks`, or "iterative": the clicks replayed in their order, each
        round given the last one's map. `start` is the mask that they correct, empty if None.
        """
        editor = self._editor(checked_image(image))
        checked = some_clicks(clicks, editor.size_hw)
        with self._named():
            return editor.mask(checked, level=level, start=start, rule=rule)

    def click_probabilities(
        self, image: ImageLike, clicks: Sequence[ClickLike]
    ) -> Float32[np.ndarray, "k h w"]:
        """Return each click's own map of the probability that a pixel is of what it stands for."""
        editor = self._editor(checked_image(image))
        checked = some_clicks(clicks, editor.size_hw)
        with self._named():
            return editor.probabilities(checked)

    def refine(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        previous: Float32[np.ndarray, "h w"] | None = None,
    ) -> Float32[np.ndarray, "h w"]:
        """Return the foreground probability of all clicks, given the last round's, None at first.

        Their order does not matter.
        """
        editor = self._editor(checked_image(image))
        checked = some_clicks(clicks, editor.size_hw)
        with self._named():
            return editor.refine(checked, previous)

    def session(
        self,
        image: ImageLike,
        start: Bool[np.ndarray, "h w"] | None = None,
        *,
        level: float = 0.5,
        rule: str = "claims",
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load, beginning with none."""
        rgb = checked_image(image)
        editor = self._editor(rgb)
        with self._named():
            return ClickSession(
                rgb, editor.mask, model=self.name, level=level, start=start, rule=rule
            )

    def _editor(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageEditor:
        return self._last.get(image, self._look_at)

    def _look_at(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageEditor:
        size_hw = (image.shape[0], image.shape[1])
        return ImageEditor(self.model, self.model.encode(image), size_hw, chunk=self.grid.chunk)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which model refuses."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
