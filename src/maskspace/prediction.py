"""What a model finds in an image: masks that may overlap, their scores and their classes."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Int64

from maskspace.masks import (
    Priority,
    decode,
    encode,
    enlarge,
    strings_to_label_map,
    to_label_map,
)
from maskspace.masks.coded import decode_runs

#: The class of what has none.
NO_CLASS = -1


class Prediction:
    """Masks in one image, which may overlap, each with a score and perhaps a class.

    Every decoder, proposal method, semantic or panoptic head returns a `Prediction`. It is kept in
    the form in which it was made: dense masks, COCO's strings (`of_strings`), or a label map
    (`of_labels`). The other forms are made when they are first asked for. A thousand dense masks of
    twelve megapixels take 12 GB, their strings a few MB, a label map 48 MB.

    masks: bool, `n h w`.
    is_label_map: whether it was made as a label map; then no two masks share a pixel.
    scores: float32, one a mask, higher is surer. They have no unit: they only rank.
    classes: int64, the class of each mask from 0, NO_CLASS (-1) without one; None if the model has
        no classes. The model's table of categories names the classes.

    ValueError if masks, scores and classes are not equally many.

    Example:
        >>> import numpy as np
        >>> labels = np.array([[1, 1, 0, 2]], np.int32)
        >>> found = Prediction.of_labels(labels, np.array([0.2, 0.9], np.float32))
        >>> found.masks.astype(int).tolist()
        [[[1, 1, 0, 0]], [[0, 0, 0, 1]]]
        >>> found.ranked(limit=1).scores.astype(float).round(1).tolist()
        [0.9]
    """

    def __init__(
        self,
        masks: Bool[np.ndarray, "n h w"],
        scores: Float[np.ndarray, " m"],
        classes: Int[np.ndarray, " k"] | None = None,
    ) -> None:
        self._hold((masks.shape[1], masks.shape[2]), scores, classes)
        self._check(len(masks))
        self.masks = masks

    @classmethod
    def of_strings(
        cls,
        counts: Sequence[str],
        size_hw: tuple[int, int],
        scores: Float[np.ndarray, " m"],
        classes: Int[np.ndarray, " k"] | None = None,
    ) -> "Prediction":
        """Return masks that are kept as COCO's compressed strings."""
        prediction = cls.__new__(cls)
        prediction._hold(size_hw, scores, classes)
        prediction._check(len(counts))
        prediction.counts = list(counts)
        return prediction

    @classmethod
    def of_labels(
        cls,
        labels: Int[np.ndarray, "h w"],
        scores: Float[np.ndarray, " m"],
        classes: Int[np.ndarray, " k"] | None = None,
    ) -> "Prediction":
        """Return disjoint masks that are kept as a label map: mask k is where the label is k + 1.

        ValueError for a label without a score.
        """
        prediction = cls.__new__(cls)
        prediction._hold((labels.shape[0], labels.shape[1]), scores, classes)
        prediction._check(len(scores))
        if int(labels.max(initial=0)) > len(scores) or int(labels.min(initial=0)) < 0:
            raise ValueError(
                f"labels are 0 to {len(scores)}, the number of scores; got "
                f"{labels.min(initial=0)} to {labels.max(initial=0)}"
            )
        prediction.labels, prediction.is_label_map = labels.astype(np.int32, copy=False), True
        return prediction

    def _hold(
        self,
        size_hw: tuple[int, int],
        scores: Float[np.ndarray, " m"],
        classes: Int[np.ndarray, " k"] | None,
    ) -> None:
        self.size_hw, self.is_label_map = size_hw, False
        self.scores = scores.astype(np.float32, copy=False)
        self.classes = None if classes is None else classes.astype(np.int64, copy=False)

    def _check(self, number: int) -> None:
        classes = number if self.classes is None else len(self.classes)
        if not number == len(self.scores) == classes:
            raise ValueError(
                f"a prediction has {number} masks, {len(self.scores)} scores and {classes} "
                "classes; give one of each a mask"
            )

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.scores)

    @cached_property
    def masks(self) -> Bool[np.ndarray, "n h w"]:
        """The dense masks."""
        return self._dense(np.arange(len(self)))

    @cached_property
    def counts(self) -> list[str]:
        """COCO's compressed run lengths of each mask."""
        return encode(self.masks)

    @cached_property
    def labels(self) -> Int32[np.ndarray, "h w"]:
        """One label map: at each pixel 1 + the number of the mask with the highest score, or 0.

        Of equal scores the lower number counts.
        """
        order = np.argsort(-self.scores, kind="stable")
        if not len(order):
            return np.zeros(self.size_hw, np.int32)
        shown = to_label_map(self.masks[order], priority="first")
        return np.concatenate([[0], order + 1]).astype(np.int32)[shown]

    @property
    def class_map(self) -> Int64[np.ndarray, "h w"]:
        """The class at each pixel; NO_CLASS where there is no mask, or a mask without a class."""
        classes = np.full(len(self), NO_CLASS) if self.classes is None else self.classes
        return np.concatenate([[NO_CLASS], classes]).astype(np.int64)[self.labels]

    def blocks(self, *, pixels: int = 2**28) -> Iterator[Bool[np.ndarray, "_ h w"]]:
        """Yield all masks, dense, in blocks of about `pixels` pixels; at least one mask in each."""
        step = max(1, pixels // max(1, self.size_hw[0] * self.size_hw[1]))
        for begin in range(0, len(self), step):
            part = np.arange(begin, min(begin + step, len(self)))
            yield self._dense(part)

    def _dense(self, part: Int[np.ndarray, " k"]) -> Bool[np.ndarray, "k h w"]:
        """Return some of the masks without making all of them dense."""
        if "masks" in self.__dict__:
            return self.masks[part]
        if self.is_label_map:
            return self.labels == (part + 1)[:, None, None]
        return decode([self.counts[index] for index in part.tolist()], self.size_hw)

    def at(self, size_hw: tuple[int, int]) -> "Prediction":
        """Return the prediction at a size that is no smaller, by nearest neighbour."""
        if size_hw == self.size_hw:
            return self
        if self.is_label_map:
            return Prediction.of_labels(enlarge(self.labels, size_hw), self.scores, self.classes)
        # one mask at a time: all of a large photo's, dense, may not fit in memory
        counts = [
            encode(enlarge(self._dense(np.array([index]))[0], size_hw)[None])[0]
            for index in range(len(self))
        ]
        return Prediction.of_strings(counts, size_hw, self.scores, self.classes)

    def ranked(self, *, limit: int | None = None) -> "Prediction":
        """Return at most `limit` masks, the highest score first; equal scores keep their order."""
        order = np.argsort(-self.scores, kind="stable")[:limit]
        classes = None if self.classes is None else self.classes[order]
        if "counts" in self.__dict__:
            counts = [self.counts[index] for index in order.tolist()]
            return Prediction.of_strings(counts, self.size_hw, self.scores[order], classes)
        return Prediction(self._dense(order), self.scores[order], classes)

    def of_areas(self, *, least: int, largest: int) -> "Prediction":
        """Return the masks that have `least` to `largest` pixels, in their order."""
        areas = decode_runs(self.counts, self.size_hw).areas() if len(self) else np.zeros(0)
        chosen = np.flatnonzero((areas >= least) & (areas <= largest))
        return self._some(chosen, dict(enumerate(self.counts)))

    def disjoint(self, *, priority: Priority) -> "Prediction":
        """Return masks that share no pixel; a mask without any pixel left is dropped.

        A shared pixel goes to the "smallest" of its masks, or to the "first".
        """
        labels = strings_to_label_map(self.counts, self.size_hw, priority=priority)
        shown = np.unique(labels[labels > 0]) - 1
        counts = {int(index): encode((labels == index + 1)[None])[0] for index in shown}
        return self._some(shown, counts)

    def _some(self, chosen: Int[np.ndarray, " k"], counts: Mapping[int, str]) -> "Prediction":
        return Prediction.of_strings(
            [counts[int(index)] for index in chosen],
            self.size_hw,
            self.scores[chosen],
            None if self.classes is None else self.classes[chosen],
        )
