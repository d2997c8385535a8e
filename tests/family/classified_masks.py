"""The decoder file: a mask, a class and a score a query; masks may overlap."""

from collections.abc import Mapping

from jaxtyping import Float32
from torch import Tensor

from maskspace.partition.decoded import need
from maskspace.prediction import Prediction


def classified_masks(
    outputs: Mapping[str, Float32[Tensor, "..."]], *, threshold: float = 0.0
) -> Prediction:
    """Return the masks of queries with any pixel; scores are class times mean mask probability."""
    masks = need(outputs, "mask", decoder="classified_masks")
    share = need(outputs, "class", decoder="classified_masks").softmax(1)[:, :-1]
    sure, classes = share.max(1)
    found = masks > threshold
    inside = (masks.sigmoid() * found).sum((1, 2)) / found.sum((1, 2)).clamp(min=1)
    kept = found.any(2).any(1)
    return Prediction(
        found[kept].cpu().numpy(),
        (sure * inside)[kept].cpu().numpy(),
        classes[kept].cpu().numpy(),
    )
