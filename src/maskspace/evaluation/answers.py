"""How a model answers clicks, round by round, on several masks of one image at a time.

Each way keeps what it needs between rounds, a slot a mask: by the rules of `combine_clicks` the
surest claims so far, so that one more click costs one map; all clicks together, the published way,
the probability of the round before; a model of masks nothing, as it is given all clicks again.
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
    """Return why a model is not asked for a run, or None: a model of masks has one way at 0.5.

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
    own = run.mode == "claims" and run.threshold == 0.5
    if own or "click_probabilities" in model.answers:
        return None
    return MASKS_ONLY


def answers(
    model: Segmenter, image: UInt8[np.ndarray, "h w 3"], run: ClickRun, asked: Asked, first: Maps
) -> Answers:
    """Return what answers a run that the model can be asked for; `first` holds maps known so far.

    A model without maps is given all clicks and combines them in its own way.

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
        new = [made[-1] for made in clicks.values() if made[-1] not in self._known]
        maps = self._asked.answer(lambda: click_maps(self._model, self._image, new))
        for slot, made in clicks.items():
            latest = self._known[made[-1]] if made[-1] in self._known else maps[made[-1]]
            yield slot, self._add(slot, latest, made)
            self._latest[slot] = latest

    def probability(self, slot: int) -> Float32[np.ndarray, "h w"]:
        return self._latest[slot]

    def _add(
        self, slot: int, latest: Float32[np.ndarray, "h w"], made: Sequence[Click]
    ) -> Bool[np.ndarray, "h w"]:
        if len(made) == 1 and made[0].positive:
            return latest > self._threshold
        if slot not in self._surest:
            self._surest[slot] = SurestClaims((latest.shape[0], latest.shape[1]), rule=self._rule)
            if len(made) > 1:
                self._claim(slot, self._latest[slot], made[0])
        self._claim(slot, latest, made[-1])
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
        for slot, made in clicks.items():
            previous = self._previous.get(slot)
            latest = self._asked.answer(
                lambda made=made, previous=previous: self._model.refine(self._image, made, previous)
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
        for slot, made in clicks.items():
            yield slot, self._asked.answer(lambda made=made: self._model.click(self._image, made))

    def probability(self, slot: int) -> None:
        del slot
