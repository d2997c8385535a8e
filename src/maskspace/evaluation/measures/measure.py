"""What a measure is: a line of the table that rows, summaries, columns, curves and pages read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from maskspace.evaluation.findings import Heading
from maskspace.evaluation.truth import Truth

#: What a row keeps of one image for a measure: numbers, or lists of numbers, as JSON holds them.
Kept = Sequence[Any]
#: What a model is asked, and what a measure is given of its answer.
#: embed: the embedding. propose: `Proposed`. regions: what `of_part` gave of each partition.
#: classes: `Classified`; it is measured of models that answer classes alone.
#: click: what `of_part` gave of each mask after the first click of a run, its IoU without one.
Question = Literal["embed", "propose", "classes", "regions", "click"]


def over_masks(kept: Kept) -> tuple[Sequence[float], float]:
    """Return the values of an image's masks, each of weight 1.

    Example:
        >>> over_masks([0.5, 1.0])
        ([0.5, 1.0], 2.0)
    """
    return kept, float(len(kept))


def quotient(kept: Kept) -> tuple[Sequence[float], float]:
    """Return an image's part of a quotient, kept as [numerator, denominator].

    Example:
        >>> quotient([3, 4])
        ([3.0], 4.0)
    """
    return [float(kept[0])], float(kept[1])


def nothing_lacks(truth: Truth) -> str | None:
    """Return None: any truth with a mask has what the measure needs.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> nothing_lacks(truth)
    """
    del truth
    return None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One reported number of a measure.

    name: its name in metrics.json, per_image.csv and comparisons.csv.
    title, main, explained, curve, at: how it is shown; see `Heading`.
    share: what an image adds, as values to sum and their weight; a dataset's number is the sum of
        all values over the sum of all weights. None for numbers that are no such quotient.
    pool: (what each image's row keeps, how often each resample holds each image) -> the number of
        each resample; None (the default) takes `share`.
    interval: whether it has a 95 % interval over images and is compared by pairs of models.
    measure, question: those of its measure, filled in by `figures_of`.

    Example:
        >>> figure = Figure(name="dice_at_1")  # a mean over the masks of all images
        >>> figure.of_dataset([[0.5, 1.0], [0.3]])
        0.6
    """

    name: str
    title: str = ""
    main: bool = True
    explained: str = ""
    share: Callable[[Kept], tuple[Sequence[float], float]] | None = over_masks
    pool: Callable[[Sequence[Kept], Float64[np.ndarray, "r n"]], Sequence[float]] | None = None
    interval: bool = True
    curve: str = ""
    at: int = 0
    measure: str = ""
    question: str = ""

    @property
    def heading(self) -> Heading:
        """How it is shown."""
        names = [field.name for field in fields(Heading)]
        return Heading(**{name: getattr(self, name) for name in names})

    def of_image(self, kept: Kept) -> float | None:
        """Return the number of a single image, None where there is none."""
        if self.share is None:
            return None
        values, weight = self.share(kept)
        return math.fsum(values) / weight if weight else None

    def of_dataset(self, images: Sequence[Kept]) -> float | None:
        """Return the number of a dataset, the same to the last bit in any order of the images."""
        if self.pool is not None:
            return self.pool(images, np.ones((1, len(images))))[0]
        assert self.share is not None, f"{self.name}: a figure has a share or a pool"
        shares = [self.share(kept) for kept in images]
        weight = math.fsum(weight for _, weight in shares)
        total = math.fsum(value for values, _ in shares for value in values)
        return total / weight if weight else None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured of a model's answer on one image, and the numbers that it becomes.

    name: its name in a row's `kept`.
    question: what the model is asked; a measure of what it refuses is absent.
    of_image: (answer, truth) -> what the row keeps.
    figures: the numbers that it becomes.
    of_part: for `regions`, (partition, truth) -> anything; for `click`, (mask after the first
        click, true mask, ignored pixels) -> anything. Large answers are measured one by one.
    run: for `click`, the name of the run.
    lacks: (truth) -> why the data has not what the measure needs, or None. The measure is then
        absent, and the reason stands under the table.

    Example:
        >>> measure = Measure(
        ...     name="proposals", question="propose", figures=(Figure(name="proposals"),),
        ...     of_image=lambda proposed, truth: [float(len(proposed.iou))])
        >>> measure.figures[0].of_dataset([[10.0], [20.0]])
        15.0
    """

    name: str
    question: Question
    of_image: Callable[[Any, Truth], Kept]
    figures: tuple[Figure, ...]
    of_part: Callable[..., Any] | None = None
    run: str = ""
    lacks: Callable[[Truth], str | None] = nothing_lacks
