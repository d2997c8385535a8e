"""Means over masks after one click: Dice coefficient and boundary IoU."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.metrics.boundary_iou import boundary_iou
from maskspace.metrics.dice import dice

#: What is measured of one mask: (mask after the click, true mask, ignored pixels) -> its value.
OfMask = Callable[
    [Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]], float
]


def _dice(
    predicted: Bool[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> float:
    return float(dice(predicted[None], true[None], ignore)[0])


def _boundary_iou(
    predicted: Bool[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> float:
    return float(boundary_iou((predicted & ~ignore)[None], true[None])[0])


#: Name, title, how to read it, and the value of a mask.
NUMBERS: tuple[tuple[str, str, str, OfMask], ...] = (
    (
        "dice_at_1",
        "Dice@1",
        "mean Dice coefficient over masks after one click: twice what the mask and its truth "
        "share, over the sum of their areas.",
        _dice,
    ),
    (
        "boundary_iou_at_1",
        "bIoU@1",
        "mean boundary IoU over masks after one click: IoU of the pixels within 2 % of the "
        "image's diagonal of each outline.",
        _boundary_iou,
    ),
)


def measure_after_click(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield a mean over masks for each of `NUMBERS`, after a click of the first way of clicking.

    Nothing where the protocol makes no clicks.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> mask, none = np.ones((4, 4), bool), np.zeros((4, 4), bool)
        >>> for measure in measure_after_click(protocol_config("maskspace")):
        ...     print(measure.name, measure.of_part(mask, mask, none))
        dice_at_1 1.0
        boundary_iou_at_1 1.0
    """
    run = config.interactive.headline
    if run is None:
        return
    for name, title, explained, of_mask in NUMBERS:
        yield Measure(
            name=name,
            question="click",
            run=run.name,
            of_part=of_mask,
            of_image=lambda values, truth: values,
            figures=(Figure(name=name, title=title, explained=explained),),
        )
