"""A sheet of the worst, median and best cases of every model after one click, with its map.

Cases are chosen from the rows of the whole dataset, and answered again: no map is kept until then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from maskspace import pictures
from maskspace.evaluation.answers import answers
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import ClickRun, EvaluateConfig
from maskspace.evaluation.interactive import first_click
from maskspace.evaluation.left_out import readable
from maskspace.evaluation.model import Model
from maskspace.evaluation.rows import Row
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.types import Click

SIDE = 192
TITLES = ("image and click", "truth", "prediction", "certainty", "level lines")
#: Where a map is cut for the picture of its level lines, dark to light.
LINES = (0.1, 0.3, 0.5, 0.7, 0.9)
#: |logit| that is shown as quite certain: a probability of 0.9975.
SURE_LOGIT = 6.0
#: Rows of a case's name: of a long key or model's name the end tells most.
LONGEST_NAME = 22


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mask that a model was asked for, and what came of it."""

    rank: str
    dataset: str
    model: str
    key: str
    mask_id: int
    iou: float


def choose_cases(rows: Iterable[Row], run: str, *, number: int) -> list[Case]:
    """Return the worst, median and best `number` masks of one model on one dataset.

    Ties go by key and id. No mask is shown twice: where there are few, the worst come first.
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


def write_cases(
    path: Path,
    rows: Sequence[Row],
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Model],
    *,
    config: EvaluateConfig,
) -> None:
    """Write a PNG with one row a case; a model of masks has no certainty and no level lines."""
    run = config.interactive.headline
    cases = [
        case
        for dataset in datasets
        for model in models
        for case in choose_cases(
            (row for row in rows if (row.dataset, row.model) == (dataset, model)),
            run.name if run else "",
            number=config.interactive.cases,
        )
    ]
    truths = {
        (dataset, truth.key): truth
        for dataset, samples in datasets.items()
        for truth in _truths(samples, {c.key for c in cases if c.dataset == dataset}, config)
    }
    shown = [
        _pictures(models[case.model], truths[case.dataset, case.key], case, run, config)
        for case in cases
        if run
    ]
    sheet = pictures.contact_sheet(
        shown, titles=TITLES, names=[_name(case, len(datasets)) for case in cases], side=SIDE
    )
    pictures.save_image(path, sheet)


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


def _pictures(
    model: Model, truth: Truth, case: Case, run: ClickRun, config: EvaluateConfig
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return the pictures of a case, the model asked again."""
    index = truth.ids.index(case.mask_id)
    click = first_click(truth, index, run.clicker, seed=config.interactive.seed)
    answering = answers(model, truth.image, run, Asked(), {})
    ((_, mask),) = answering.masks({0: [click]})
    image = pictures.fit_image(truth.image, SIDE)
    shown = [
        _clicked(image, click, truth),
        _painted(image, truth.masks[index]),
        _painted(image, mask),
    ]
    probability = answering.probability(0)
    if probability is None:
        return shown
    fitted = pictures.fit_map(probability, SIDE)
    return [*shown, _certainty(fitted), pictures.paint_level_lines(image, fitted, levels=LINES)]


def _clicked(
    image: UInt8[np.ndarray, "r s 3"], click: Click, truth: Truth
) -> UInt8[np.ndarray, "r s 3"]:
    height, width = truth.ignore.shape
    x = (2 * click.x + 1) * image.shape[1] // (2 * width)
    y = (2 * click.y + 1) * image.shape[0] // (2 * height)
    return pictures.paint_click(image, (x, y), radius=SIDE // 48, positive=click.positive)


def _painted(
    image: UInt8[np.ndarray, "r s 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "r s 3"]:
    return pictures.paint_labels(image, pictures.fit_labels(mask.astype(np.int64), SIDE))


def _certainty(probability: Float32[np.ndarray, "r s"]) -> UInt8[np.ndarray, "r s 3"]:
    """Return |logit|, black where the model does not know."""
    sure = 1 / (1 + np.exp(-SURE_LOGIT))
    inside = np.clip(probability.astype(np.float64), 1 - sure, sure)
    return pictures.ramp_colors(np.abs(np.log(inside / (1 - inside))) / SURE_LOGIT)
