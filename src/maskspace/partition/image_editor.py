"""Clicks on one image: what is computed once a click is kept, so that one more costs one decode.

By the rules of `combine_clicks` every click has its own map. By "iterative", the published way,
clicks are replayed one at a time: each round gets all clicks so far and the map of the last round.
"""

import hashlib
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from maskspace.partition.editing import RULES, SurestClaims
from maskspace.partition.grid_clicks import decode_clicks
from maskspace.partition.resample import resize_maps
from maskspace.types import Click, ClickModel, Features, InteractiveModel, network_answers

ITERATIVE = "iterative"
CLICK_RULES = (*RULES, ITERATIVE)


class ImageEditor(Generic[Features]):
    """Answers clicks on one image; it keeps the image's features and the maps of past clicks.

    With the rules "claims" and "largest" the map of a click is kept at the model's own resolution,
    with "iterative" the map of a round at the image's. The most recently used maps are kept; others
    are decoded again when they are needed.

    Args:
        model: answers clicks with maps.
        features: what the model encoded the image to.
        size_hw: rows and columns of the image.
        chunk: clicks that are decoded at a time, >= 1 (default 64).
        max_bytes: bytes of kept maps (default 268 435 456).

    Example:
        >>> class SameGrey:  # a click means the pixels of its grey value
        ...     def encode(self, image):
        ...         return image[..., 0]
        ...     def click_logits(self, features, size_hw, clicks_xy, positive):
        ...         same = [features == features[y, x] for x, y in clicks_xy]
        ...         return np.where(same, 9.0, -9.0).astype(np.float32)
        >>> editor = ImageEditor(SameGrey(), np.array([[0, 0, 7]]), (1, 3))
        >>> editor.mask([Click(0, 0)]).astype(int).tolist()
        [[1, 1, 0]]
    """

    def __init__(
        self,
        model: ClickModel[Features],
        features: Features,
        size_hw: tuple[int, int],
        *,
        chunk: int = 64,
        max_bytes: int = 1 << 28,
    ) -> None:
        self.model, self.features, self.size_hw, self.chunk = model, features, size_hw, chunk
        self._kept = _LastMaps(max_bytes)
        self._combined = _Combined((), 0.5, "", SurestClaims(size_hw, dtype=np.float32))
        self._lock = threading.Lock()

    def mask(
        self,
        clicks: Sequence[Click],
        *,
        level: float = 0.5,
        start: Bool[np.ndarray, "h w"] | None = None,
        rule: str = "claims",
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the clicks.

        Args:
            clicks: the clicks, in the order in which they were made.
            level: probability in (0, 1) at which each map is cut (default 0.5).
            start: the mask that the clicks correct: it shows where no click claims anything, or is
                the previous map of the first round (default None: an empty mask).
            rule: "claims", "largest" or "iterative" (default "claims").

        Raises ValueError for an unknown rule, a level outside of (0, 1) and a start mask of another
        size.
        """
        if rule not in CLICK_RULES:
            choices = ", ".join(CLICK_RULES)
            raise ValueError(f"editing rule {rule!r} is unknown; choose one of {choices}")
        if not 0 < level < 1:
            raise ValueError(f"level is a probability in (0, 1); got {level}")
        if start is not None and start.shape != self.size_hw:
            raise ValueError(f"the start mask is {start.shape}, the image {self.size_hw}")
        if rule == ITERATIVE:
            return np.asarray(self._replay(tuple(clicks), start) > level)
        with self._lock:
            return self._combine(tuple(dict.fromkeys(clicks)), level, rule).mask(start)

    def probabilities(self, clicks: Sequence[Click]) -> Float32[np.ndarray, "k h w"]:
        """Return for each click the probability that a pixel belongs to what the click means."""
        probabilities = np.zeros((len(clicks), *self.size_hw), np.float32)
        for probability, map_ in zip(probabilities, self._maps(clicks), strict=True):
            probability[:] = _sigmoid(self._at_size(map_))
        return probabilities

    def refine(
        self, clicks: Sequence[Click], previous: Float32[np.ndarray, "h w"] | None
    ) -> Float32[np.ndarray, "h w"]:
        """Return the foreground probability of all clicks together, given the previous round's map.

        Raises ValueError for a model that answers only single clicks, and for a map that is not of
        the image's size or not in [0, 1].
        """
        if "refine" not in network_answers(self.model):
            raise ValueError("the model answers clicks one by one, not all together: no rounds")
        if previous is not None and previous.shape != self.size_hw:
            raise ValueError(f"the previous map is {previous.shape}, the image {self.size_hw}")
        if previous is not None and not (previous.min() >= 0 and previous.max() <= 1):
            raise ValueError("the previous map holds values that are no probabilities in [0, 1]")
        xy, positive = _arrays(clicks)
        model = cast("InteractiveModel", self.model)
        logits = model.mask_logits(self.features, self.size_hw, xy, positive, previous)
        return _sigmoid(_numbers(logits))

    def _combine(self, clicks: tuple[Click, ...], level: float, rule: str) -> SurestClaims:
        """Return the surest claims of distinct clicks.

        Where they continue the last clicks only the new ones are added.
        """
        last = self._combined
        continues = clicks[: len(last.clicks)] == last.clicks
        if not (continues and (last.level, last.rule) == (level, rule)):
            empty = SurestClaims(self.size_hw, rule=rule, dtype=np.float32)
            last = _Combined((), level, rule, empty)
        new = clicks[len(last.clicks) :]
        shift = np.float32(np.log(level / (1 - level)))
        for click, map_ in zip(new, self._maps(new), strict=True):
            last.surest.add(self._at_size(map_) - shift, positive=click.positive)
        self._combined = replace(last, clicks=clicks)
        return last.surest

    def _replay(
        self, clicks: tuple[Click, ...], start: Bool[np.ndarray, "h w"] | None
    ) -> Float32[np.ndarray, "h w"]:
        """Return the probability after the last round, from the last round on that is kept."""
        origin = b"" if start is None else hashlib.sha256(np.packbits(start).tobytes()).digest()
        previous = None if start is None else start.astype(np.float32)
        rounds_done = 0
        for count in range(len(clicks), 0, -1):
            kept_map = self._kept.get((origin, clicks[:count]))
            if kept_map is not None:
                previous, rounds_done = kept_map, count
                break
        for count in range(rounds_done + 1, len(clicks) + 1):
            probability = self.refine(clicks[:count], previous)
            self._kept.put((origin, clicks[:count]), probability)
            previous = probability
        return np.zeros(self.size_hw, np.float32) if previous is None else previous

    def _maps(self, clicks: Sequence[Click]) -> list[Float32[np.ndarray, "r s"]]:
        """Return the clicks' logits at the model's resolution; only what is not kept is decoded."""
        kept_maps = {click: self._kept.get(click) for click in clicks}
        maps_by_click = {
            click: kept_map for click, kept_map in kept_maps.items() if kept_map is not None
        }
        new = [click for click in kept_maps if click not in maps_by_click]
        if new:
            xy, positive = _arrays(new)
            chunk = min(self.chunk, len(new))
            maps = decode_clicks(self.model, self.features, self.size_hw, xy, positive, chunk=chunk)
            for click, decoded in zip(new, _numbers(maps), strict=True):
                maps_by_click[click] = decoded.copy()  # a view would keep all maps of its chunk
                self._kept.put(click, maps_by_click[click])
        return [maps_by_click[click] for click in clicks]

    def _at_size(self, logits: Float32[np.ndarray, "r s"]) -> Float32[np.ndarray, "h w"]:
        return resize_maps(logits[None], self.size_hw)[0]


@dataclass(frozen=True, eq=False)
class _Combined:
    """The clicks that were combined last, and their surest claims."""

    clicks: tuple[Click, ...]
    level: float
    rule: str
    surest: SurestClaims


class _LastMaps:
    """Maps by key, of which the most recently used are kept; safe with several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._maps: dict[Hashable, Float32[np.ndarray, "h w"]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Float32[np.ndarray, "h w"] | None:
        with self._lock:
            map_ = self._maps.pop(key, None)
            if map_ is not None:
                self._maps[key] = map_
            return map_

    def put(self, key: Hashable, value: Float32[np.ndarray, "h w"]) -> None:
        with self._lock:
            old_map = self._maps.pop(key, None)
            self._bytes += value.nbytes - (0 if old_map is None else old_map.nbytes)
            self._maps[key] = value
            while self._bytes > self._max_bytes and len(self._maps) > 1:
                oldest = next(iter(self._maps))
                self._bytes -= self._maps.pop(oldest).nbytes


def _arrays(clicks: Sequence[Click]) -> tuple[Int64[np.ndarray, "k 2"], Bool[np.ndarray, " k"]]:
    """Return the clicks' columns and rows, and their signs."""
    xy = np.array([(click.x, click.y) for click in clicks], np.int64).reshape(-1, 2)
    return xy, np.array([click.positive for click in clicks], bool)


def _numbers(logits: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    if np.isnan(logits).any():
        raise ValueError("a click's map holds values that are not numbers; is the model trained?")
    return logits


def _sigmoid(logits: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    return torch.from_numpy(np.ascontiguousarray(logits)).sigmoid().numpy()
