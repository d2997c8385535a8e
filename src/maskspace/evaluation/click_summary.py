"""From the clicks of a dataset's rows: mIoU@k, NoC, NoF, and how local the corrections were."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from maskspace.evaluation.config import ClickRun, InteractiveConfig
from maskspace.evaluation.metric_names import (
    BEST_LEVEL,
    MIOU,
    NEVER,
    NOC,
    NOF,
    OUTSIDE,
    OUTSIDE_OF_IMAGE,
)
from maskspace.evaluation.rows import Row
from maskspace.metrics.clicks_to_iou import clicks_to_iou, failures, never_reached


def click_metrics(
    rows: Sequence[Row], config: InteractiveConfig, not_answered: dict[str, str]
) -> dict[str, object]:
    """Return the numbers of every run that was answered; all masks have the same weight.

    After k clicks of the run NAME: `miou_at_k_NAME`. For a run of several clicks also
    - `noc_85_NAME`: mean number of clicks to an IoU of 0.85;
    - `nof_85_NAME`: masks that took all clicks, as published;
    - `never_85_NAME`: masks that never reached that IoU;
    - `changed_outside_NAME`: share of the pixels changed by a further click that were right before
      it, a mean over the clicks that changed anything;
    - `changed_outside_of_image_NAME`: the same pixels over those of the image, a mean over all
      clicks. After one click, cut at the best level for each mask: `miou_at_1_CLICKER_best_level`.

    Args:
        rows: the rows of one model on one dataset.
        config: the runs.
        not_answered: the reasons of undefined numbers are added here.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> run = config.interactive.headline.name
        >>> rows = [Row(
        ...     dataset="d", model="student", key="a", masks=2, masks_too_small=0, ids=[1, 2],
        ...     areas=[9, 9], click_ious={run: [[0.5], [1.0]]}, changes={run: []})]
        >>> click_metrics(rows, config.interactive, {})[f"miou_at_1_{run}"]
        0.75
    """
    numbers: dict[str, object] = {}
    for run in config.runs:
        if any(run.name not in row.click_ious for row in rows):
            continue
        ious = click_record([ious for row in rows for ious in row.click_ious[run.name]], run.clicks)
        numbers |= _mean_ious(ious, run, config, not_answered)
        if run.clicks > 1:
            numbers |= _counts(ious, run, config.noc_targets)
            numbers |= _locality(rows, run, not_answered)
    for clicker in rows[0].best_level:
        values = (iou for row in rows for iou in row.best_level[clicker])
        numbers[f"{MIOU}1_{clicker}{BEST_LEVEL}"] = _mean(values)
    if any(run.name in rows[0].click_ious for run in config.runs):
        combined_by = "the model, in its own way" if rows[0].combines else "the rule of each run"
        numbers |= {"max_clicks": config.max_clicks, "clicks_combined_by": combined_by}
    return numbers


def click_record(ious: Iterable[Sequence[float]], clicks: int) -> Float64[np.ndarray, "n k"]:
    """Return the IoUs after each click as one array, NaN where a run ended earlier.

    Example:
        >>> click_record([[0.5, 1.0], [0.2, 0.4, 0.6]], 3).tolist()
        [[0.5, 1.0, nan], [0.2, 0.4, 0.6]]
    """
    padded = [[*run, *[math.nan] * (clicks - len(run))] for run in ious]
    return np.array(padded, np.float64).reshape(-1, clicks)


def _mean_ious(
    ious: Float64[np.ndarray, "n k"],
    run: ClickRun,
    config: InteractiveConfig,
    not_answered: dict[str, str],
) -> dict[str, object]:
    """Return mIoU@k for every k that it is defined for."""
    if config.target_iou >= 1:  # a run that ended was perfect, and stays so
        ious = np.where(np.isnan(ious), 1.0, ious)
    elif run.clicks > 1:
        reason = f"clicks end at an IoU of {config.target_iou:g}; a target_iou of 1 or more has it"
        not_answered[f"{MIOU}2_{run.name}"] = reason
        ious = ious[:, :1]
    return {f"{MIOU}{k}_{run.name}": _mean(ious[:, k - 1]) for k in range(1, ious.shape[1] + 1)}


def _counts(
    ious: Float64[np.ndarray, "n k"], run: ClickRun, targets: Sequence[float]
) -> dict[str, object]:
    numbers: dict[str, object] = {}
    for target in targets:
        tail = f"{100 * target:g}_{run.name}"
        numbers[f"{NOC}{tail}"] = float(clicks_to_iou(ious, target=target).mean())
        numbers[f"{NOF}{tail}"] = failures(ious, target=target)
        numbers[f"{NEVER}{tail}"] = never_reached(ious, target=target)
    return numbers


def _locality(
    rows: Sequence[Row], run: ClickRun, not_answered: dict[str, str]
) -> dict[str, object]:
    shares = [outside / changed for changed, outside, _ in _changes(rows, run) if changed]
    of_image = [outside / pixels for _, outside, pixels in _changes(rows, run)]
    numbers: dict[str, object] = {}
    if shares:
        numbers[f"{OUTSIDE}{run.name}"] = _mean(shares)
    else:
        not_answered[f"{OUTSIDE}{run.name}"] = "undefined: no further click changed anything"
    if of_image:
        numbers[f"{OUTSIDE_OF_IMAGE}{run.name}"] = _mean(of_image)
    return numbers


def _changes(rows: Sequence[Row], run: ClickRun) -> Iterator[tuple[int, int, int]]:
    """Yield, for every further click, pixels changed, those outside the error, and the image's."""
    for row in rows:
        for made in row.changes[run.name]:
            yield from ((changed, outside, row.pixels) for changed, outside in made)


def _mean(values: Iterable[float]) -> float:
    """Return the mean, exact to the last bit whatever the order."""
    values = list(values)
    return math.fsum(values) / len(values)
