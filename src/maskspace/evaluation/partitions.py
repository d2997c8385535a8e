"""Ask a model for partitions, one a scale, and measure each while it is there.

A tree is asked for numbers of regions; a method with scales of its own gives those.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int32, UInt8

from maskspace.evaluation.asking import Asked, Refusal
from maskspace.evaluation.measures.measure import Measure
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter


def ask_partitions(
    model: Segmenter,
    truth: Truth,
    measures: Iterable[Measure],
    *,
    counts: Sequence[int],
    asked: Asked,
) -> dict[str, list[Any]] | None:
    """Return what each measure's `of_part` gave of the partitions, in the order of the scales.

    None where the model refuses, which stands in `asked` under `regions`, and where nothing is
    measured. Of `counts` regions an image gives at most what it has.

    Example:
        >>> from maskspace.evaluation.measures.measure import Figure
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> class Whole(Segmenter):  # one region at every scale
        ...     name, ranking, answers = "whole", "nothing", frozenset({"scales"})
        ...     def scales(self, image, counts):
        ...         return iter([np.ones(image.shape[:2], np.int32) for _ in counts])
        >>> regions = Measure(
        ...     name="regions", question="regions", figures=(), of_image=lambda parts, truth: parts,
        ...     of_part=lambda labels, truth: int(labels.max()))
        >>> ask_partitions(Whole(), truth, [regions], counts=[1, 2], asked=Asked())
        {'regions': [1, 1]}
    """
    of_part = {m.name: m.of_part for m in measures if m.of_part is not None}
    found: dict[str, list[Any]] = {name: [] for name in of_part}
    if not of_part:
        return None
    try:
        for labels in _answered(model, truth, counts, asked):
            for name, measure in of_part.items():
                found[name].append(measure(labels, truth))
    except Refusal as refusal:
        asked.not_answered["regions"] = str(refusal)
        return None
    return found


def _answered(
    model: Segmenter, truth: Truth, counts: Sequence[int], asked: Asked
) -> Iterator[Int[np.ndarray, "h w"]]:
    """Yield the partitions one after the other: all of a large photo's would not fit."""
    scales = _scales(model, truth.image, counts)
    while (labels := asked.answer(lambda: next(scales, None))) is not None:
        truth.require_size(labels.shape, "partitions into regions")
        yield labels


def _scales(
    model: Segmenter, image: UInt8[np.ndarray, "h w 3"], counts: Sequence[int]
) -> Iterator[Int32[np.ndarray, "h w"]]:
    if "scales" in model.answers:
        yield from model.scales(image, counts)
        return
    tree = model.hierarchy(image)
    for count in counts:
        yield tree.partition(min(count, tree.max_regions))
