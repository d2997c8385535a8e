"""Mean boundary IoU after one click of the protocol's first way of clicking."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.metrics.boundary_iou import boundary_iou as boundary_iou_of_masks


def measure_boundary_iou(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `boundary_iou_at_1`, a mean over masks; nothing where no clicks are made.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> (measure,) = measure_boundary_iou(config)
        >>> mask = np.ones((4, 4), bool)
        >>> measure.of_part(mask, mask, np.zeros((4, 4), bool))
        1.0
    """
    run = config.interactive.headline
    if run is None:
        return
    yield Measure(
        name="boundary_iou_at_1",
        question="click",
        run=run.name,
        of_part=_of_mask,
        of_image=lambda values, truth: values,
        figures=(
            Figure(
                name="boundary_iou_at_1",
                title="bIoU@1",
                explained="mean boundary IoU over masks after one click: IoU of the pixels within "
                "2 % of the image's diagonal of each outline.",
            ),
        ),
    )


def _of_mask(
    predicted: Bool[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> float:
    return float(boundary_iou_of_masks((predicted & ~ignore)[None], true[None])[0])
