"""The worst, median and best cases of every model after one click, with their maps.

Cases are chosen from the rows of the whole dataset. The model then answers them again: maps are not
kept before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskspace.evaluation.answers import answers
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import ClickRun, EvaluateConfig
from maskspace.evaluation.interactive import first_click
from maskspace.evaluation.left_out import readable
from maskspace.evaluation.rows import Row
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.loaded import Segmenter
from maskspace.shown import shrunk_array
from maskspace.types import shrink_image

#: Longest side in pixels of what is kept of an image.
SIDE = 768
#: Characters of a case's name that are shown: of a long key or model's name the end tells most.
LONGEST_NAME = 22


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mask that a model was asked for, and the IoU of its answer.

    rank: "worst", "median" or "best".

    Example:
        >>> Case(rank="worst", dataset="d", model="student", key="a", mask_id=1, iou=0.2).rank
        'worst'
    """

    rank: str
    dataset: str
    model: str
    key: str
    mask_id: int
    iou: float


def choose_cases(rows: Iterable[Row], run: str, *, number: int) -> list[Case]:
    """Return the worst, median and best `number` masks of one model on one dataset.

    Masks of equal IoU are ordered by key and id. No mask is shown twice; if there are few, the
    worst ones are chosen first.

    Example:
        >>> rows = [
        ...     Row(dataset="d", model="student", key=key, masks=1, masks_too_small=0, ids=[1],
        ...         areas=[9], click_ious={"center": [[iou]]})
        ...     for key, iou in (("a", 0.2), ("b", 0.9), ("c", 0.6))
        ... ]
        >>> [(case.rank, case.key, case.iou) for case in choose_cases(rows, "center", number=1)]
        [('worst', 'a', 0.2), ('median', 'c', 0.6), ('best', 'b', 0.9)]
    """
    ranked = sorted(
        (iou, row.key, mask_id, row)
        for row in rows
        if run in row.click_ious
        for mask_id, iou in zip(row.ids, row.first_ious(run), strict=True)
    )
    middle = max(0, (len(ranked) - number) // 2)
    places = {
        "worst": range(number),
        "median": range(middle, middle + number),
        "best": range(len(ranked) - number, len(ranked)),
    }
    chosen: dict[int, str] = {}
    for rank, wanted in places.items():
        for place in wanted:
            if 0 <= place < len(ranked):
                chosen.setdefault(place, rank)
    return [
        Case(rank=rank, dataset=row.dataset, model=row.model, key=key, mask_id=mask_id, iou=iou)
        for place, rank in sorted(chosen.items())
        for iou, key, mask_id, row in (ranked[place],)
    ]


@dataclass(frozen=True, kw_only=True)
class ShownCase:
    """What is shown of a case.

    name: lines that say which it is.
    click: x and y in [0, 1] of the image, and 1 for a positive click, 0 for a negative one.
    arrays: `image`, `truth`, `mask`, and `probability` of a model that has one.

    Example:
        >>> case = ShownCase(
        ...     name="student, worst: IoU 0.200", click=(0.5, 0.25, 1),
        ...     arrays={"image": np.zeros((4, 4, 3), np.uint8), "mask": np.zeros((4, 4), bool)})
        >>> sorted(case.arrays)
        ['image', 'mask']
    """

    name: str
    click: tuple[float, float, int]
    arrays: Mapping[str, np.ndarray]


def shown_cases(
    rows: Sequence[Row],
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Segmenter],
    *,
    config: EvaluateConfig,
) -> list[ShownCase]:
    """Return the cases of every dataset and model, the models asked again.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> from maskspace.types import Prediction
        >>> class Whole(Segmenter):  # answers every question with the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose", "click"})
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        ...     def click(self, image, clicks):
        ...         return np.ones(image.shape[:2], bool)
        >>> from maskspace.evaluation.rows import measure_rows
        >>> rows = measure_rows("d", samples, {"whole": Whole()}, config=config)
        >>> shown = shown_cases(rows, {"d": samples}, {"whole": Whole()}, config=config)
        >>> sorted(shown[0].arrays)  # the worst case; a model of masks has no probability
        ['image', 'mask', 'truth']
    """
    run = config.interactive.headline
    if run is None:
        return []
    cases = [
        case
        for dataset in datasets
        for model in models
        for case in choose_cases(
            (row for row in rows if (row.dataset, row.model) == (dataset, model)),
            run.name,
            number=config.interactive.cases,
        )
    ]
    truths = {
        (dataset, truth.key): truth
        for dataset, samples in datasets.items()
        for truth in _truths(samples, {c.key for c in cases if c.dataset == dataset}, config)
    }
    return [
        ShownCase(
            name=_name(case, len(datasets)),
            **_answered(models[case.model], truths[case.dataset, case.key], case, run, config),
        )
        for case in cases
    ]


def _truths(samples: Sequence, keys: set[str], config: EvaluateConfig) -> Iterable[Truth]:
    """Yield the truths with these keys; reading ends with the last of them."""
    left = set(keys)
    for sample in readable(samples, {}) if left else ():
        if sample.key in left:
            left.remove(sample.key)
            yield read_truth(sample, min_area=config.min_area)
        if not left:
            return


def _name(case: Case, datasets: int) -> str:
    place = f"{case.dataset}\n" if datasets > 1 else ""
    return f"{place}{_short(case.model)}\n{case.rank}: IoU {case.iou:.3f}\n{_short(case.key)}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"…{name[-LONGEST_NAME:]}"


def _answered(
    model: Segmenter, truth: Truth, case: Case, run: ClickRun, config: EvaluateConfig
) -> dict[str, Any]:
    """Return the click of a case and its arrays, the model asked again."""
    index = truth.ids.index(case.mask_id)
    click = first_click(truth, index, run.clicker, seed=config.interactive.seed)
    answering = answers(model, truth.image, run, Asked(), {})
    ((_, mask),) = answering.masks({0: [click]})
    arrays: dict[str, np.ndarray] = {
        "image": shrink_image(truth.image, max_side=SIDE),
        "truth": shrunk_array(truth.masks[index], SIDE),
        "mask": shrunk_array(mask, SIDE),
    }
    probability = answering.probability(0)
    if probability is not None:
        arrays["probability"] = shrunk_array(probability, SIDE)
    height, width = truth.ignore.shape
    place = ((2 * click.x + 1) / (2 * width), (2 * click.y + 1) / (2 * height))
    return {"click": (*place, int(click.positive)), "arrays": arrays}
