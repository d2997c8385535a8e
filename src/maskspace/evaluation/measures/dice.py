"""Mean Dice coefficient after one click of the protocol's first way of clicking."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.metrics.dice import dice as dice_of_masks


def measure_dice(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `dice_at_1`, a mean over masks; nothing where the protocol makes no clicks.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> (measure,) = measure_dice(config)
        >>> mask = np.ones((4, 4), bool)
        >>> measure.of_part(mask, mask, np.zeros((4, 4), bool))
        1.0
    """
    run = config.interactive.headline
    if run is None:
        return
    yield Measure(
        name="dice_at_1",
        question="click",
        run=run.name,
        of_part=_of_mask,
        of_image=lambda values, truth: values,
        figures=(
            Figure(
                name="dice_at_1",
                title="Dice@1",
                explained="mean Dice coefficient over masks after one click: twice what the mask "
                "and its truth share, over the sum of their areas.",
            ),
        ),
    )


def _of_mask(
    predicted: Bool[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> float:
    return float(dice_of_masks(predicted[None], true[None], ignore)[0])
