"""How a model answers clicks, round by round, on several masks of one image at a time.

Between rounds a run keeps for each mask, in a slot of its own, what the next answer needs:
- with a rule of `combine_clicks`, the surest claims so far, so that a new click costs one map;
- with all clicks together, the published way, the probability of the round before;
- for a model that answers masks, nothing: it is given all clicks again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import ClickRun
from maskspace.loaded import Segmenter
from maskspace.partition.editing import SurestClaims, logit
from maskspace.types import Click

#: Why a model is not asked for a run.
MASKS_ONLY = "the model answers masks cut at 0.5, not probabilities"
NO_ROUNDS = "the model has no refine: it does not answer clicks together with its last map"

Maps = Mapping[Click, Float32[np.ndarray, "h w"]]


@runtime_checkable
class Answers(Protocol):
    """What answers the clicks of a run.

    Example:
        >>> class Everything:  # answers every click with the whole of a 4 x 4 image
        ...     def masks(self, clicks):
        ...         return ((slot, np.ones((4, 4), bool)) for slot in clicks)
        ...
        ...     def probability(self, slot):
        ...         return np.ones((4, 4), np.float32)
        >>> isinstance(Everything(), Answers)
        True
    """

    def masks(
        self, clicks: Mapping[int, Sequence[Click]]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "h w"]]]:
        """Return each slot with its mask, given its clicks so far, of which the last is new."""
        ...

    def probability(self, slot: int) -> Float32[np.ndarray, "h w"] | None:
        """Return the map of the slot's last answer; after one click, the one that was cut."""
        ...


def why_unanswered(model: Segmenter, run: ClickRun) -> str | None:
    """Return why a model is not asked for a run, or None if it is.

    A model that answers masks can only be asked for its own way of combining clicks, cut at 0.5.

    Example:
        >>> class Masks(Segmenter):
        ...     name, ranking, answers = "masks", "nothing", frozenset({"click"})
        >>> why_unanswered(
        ...     Masks(), ClickRun(clicker="center", threshold=0.5, mode="claims", clicks=1)
        ... )
        >>> why_unanswered(
        ...     Masks(), ClickRun(clicker="center", threshold=0.4, mode="claims", clicks=1)
        ... )
        'the model answers masks cut at 0.5, not probabilities'
    """
    if run.mode == "iterative":
        return None if "refine" in model.answers else NO_ROUNDS
    is_own_way = run.mode == "claims" and run.threshold == 0.5
    if is_own_way or "click_probabilities" in model.answers:
        return None
    return MASKS_ONLY


def answers(
    model: Segmenter, image: UInt8[np.ndarray, "h w 3"], run: ClickRun, asked: Asked, first: Maps
) -> Answers:
    """Return what answers the clicks of a run.

    Args:
        model: the model; without probabilities it is given all clicks and combines them in its own
            way.
        image: the image.
        run: a run that the model can be asked for, see `why_unanswered`.
        asked: takes the time of the answers.
        first: click -> its map, as far as maps are known already.

    Example:
        >>> class Whole(Segmenter):
        ...     name, ranking, answers = "whole", "nothing", frozenset({"click"})
        ...
        ...     def click(self, image, clicks):
        ...         return np.ones(image.shape[:2], bool)
        >>> run = ClickRun(clicker="center", threshold=0.5, mode="claims", clicks=1)
        >>> answering = answers(Whole(), np.zeros((4, 4, 3), np.uint8), run, Asked(), {})
        >>> [(slot, mask.sum().item()) for slot, mask in answering.masks({0: [Click(1, 1)]})]
        [(0, 16)]
    """
    if run.mode == "iterative" and "refine" in model.answers:
        return _Refined(model, image, run.threshold, asked)
    if "click_probabilities" in model.answers:
        return _Combined(model, image, run, asked, first)
    return _Own(model, image, asked)


def click_maps(
    model: Segmenter, image: UInt8[np.ndarray, "h w 3"], clicks: Sequence[Click]
) -> dict[Click, Float32[np.ndarray, "h w"]]:
    """Return the map of each distinct click, asked for together.

    Example:
        >>> class Half(Segmenter):
        ...     name, ranking, answers = "half", "nothing", frozenset({"click_probabilities"})
        ...
        ...     def click_probabilities(self, image, clicks):
        ...         return np.full((len(clicks), *image.shape[:2]), 0.5, np.float32)
        >>> maps = click_maps(Half(), np.zeros((4, 4, 3), np.uint8), [Click(1, 1), Click(1, 1)])
        >>> len(maps)  # the same click is asked once
        1
    """
    distinct = list(dict.fromkeys(clicks))
    if not distinct:
        return {}
    return dict(zip(distinct, model.click_probabilities(image, distinct), strict=True))


class _Combined:
    """Each click has its own map; a rule combines them, cut at the threshold.

    The first map alone is cut as it is, which says the same and takes no logarithms.
    """

    def __init__(
        self,
        model: Segmenter,
        image: UInt8[np.ndarray, "h w 3"],
        run: ClickRun,
        asked: Asked,
        first: Maps,
    ) -> None:
        self._model, self._image, self._asked, self._known = model, image, asked, first
        self._rule, self._threshold = run.mode, np.float32(run.threshold)
        self._latest: dict[int, Float32[np.ndarray, "h w"]] = {}
        self._surest: dict[int, SurestClaims] = {}

    def masks(
        self, clicks: Mapping[int, Sequence[Click]]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "h w"]]]:
        new = [
            clicks_so_far[-1]
            for clicks_so_far in clicks.values()
            if clicks_so_far[-1] not in self._known
        ]
        maps = self._asked.answer(lambda: click_maps(self._model, self._image, new))
        for slot, clicks_so_far in clicks.items():
            latest = (
                self._known[clicks_so_far[-1]]
                if clicks_so_far[-1] in self._known
                else maps[clicks_so_far[-1]]
            )
            yield slot, self._add(slot, latest, clicks_so_far)
            self._latest[slot] = latest

    def probability(self, slot: int) -> Float32[np.ndarray, "h w"]:
        return self._latest[slot]

    def _add(
        self, slot: int, latest: Float32[np.ndarray, "h w"], clicks: Sequence[Click]
    ) -> Bool[np.ndarray, "h w"]:
        if len(clicks) == 1 and clicks[0].positive:
            return latest > self._threshold
        if slot not in self._surest:
            self._surest[slot] = SurestClaims((latest.shape[0], latest.shape[1]), rule=self._rule)
            if len(clicks) > 1:
                self._claim(slot, self._latest[slot], clicks[0])
        self._claim(slot, latest, clicks[-1])
        return self._surest[slot].mask()

    def _claim(self, slot: int, latest: Float32[np.ndarray, "h w"], click: Click) -> None:
        self._surest[slot].add(self._above(latest), positive=click.positive)

    def _above(self, map_: Float32[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
        """Return logits that are above 0 where the probability is above the threshold."""
        return logit(map_) - logit(np.full(1, self._threshold))


class _Refined:
    """All clicks together with the probability of the round before."""

    def __init__(
        self,
        model: Segmenter,
        image: UInt8[np.ndarray, "h w 3"],
        threshold: float,
        asked: Asked,
    ) -> None:
        self._model, self._image, self._asked = model, image, asked
        self._threshold = np.float32(threshold)
        self._previous: dict[int, Float32[np.ndarray, "h w"]] = {}

    def masks(
        self, clicks: Mapping[int, Sequence[Click]]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "h w"]]]:
        for slot, clicks_so_far in clicks.items():
            previous = self._previous.get(slot)
            latest = self._asked.answer(
                lambda clicks_so_far=clicks_so_far, previous=previous: self._model.refine(
                    self._image, clicks_so_far, previous
                )
            )
            self._previous[slot] = latest
            yield slot, latest > self._threshold

    def probability(self, slot: int) -> Float32[np.ndarray, "h w"]:
        return self._previous[slot]


class _Own:
    """A model that combines clicks in its own way and answers masks."""

    def __init__(self, model: Segmenter, image: UInt8[np.ndarray, "h w 3"], asked: Asked) -> None:
        self._model, self._image, self._asked = model, image, asked

    def masks(
        self, clicks: Mapping[int, Sequence[Click]]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "h w"]]]:
        for slot, clicks_so_far in clicks.items():
            yield (
                slot,
                self._asked.answer(
                    lambda clicks_so_far=clicks_so_far: self._model.click(
                        self._image, clicks_so_far
                    )
                ),
            )

    def probability(self, slot: int) -> None:
        del slot
