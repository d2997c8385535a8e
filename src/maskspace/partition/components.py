"""Connected components of pixels that nothing breaks apart: the cheapest decoder there is.

Two neighbours are broken apart by their distance in the embedding, or by the breaks that a network
predicts, as in a sequential grouping network reduced to two breaks a pixel (Liu et al. 2017, ICCV).
One unbroken edge is enough to join two instances.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from maskspace.partition.decoded import cells, foreground_of, gathered
from maskspace.partition.offset_read import embedding_of
from maskspace.partition.superpixels import linked_components
from maskspace.prediction import Prediction


def components(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    threshold: float = 0.5,
    min_area: int = 16,
) -> Prediction:
    """Return the 4-connected components of the foreground that no break crosses.

    With a head `affinity` of two logits, for a break to the right and below, a break is where the
    probability is above `threshold`. Else it is where the embeddings of two neighbours are farther
    apart than `threshold`. A foreground alone has no breaks. The score is the mean over the pixels
    and both directions of 1 - value / threshold, 0 for a break.

    Args:
        outputs: `affinity`, an embedding level, or `foreground` alone; and `foreground` if the
            network has it.
        threshold: probability, or distance in the embedding, of a break, > 0 (default 0.5).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Raises ValueError for a threshold of 0 or less.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> components({"1": halves}, threshold=0.5).labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
        >>> components({"1": halves}, threshold=1.5).labels[0].tolist()
        [1, 1, 1, 1, 1, 1, 1, 1]
    """
    if threshold <= 0:
        raise ValueError(f"components: threshold is above 0; got {threshold}")
    if "affinity" in outputs:
        right, down = _break_probabilities(outputs["affinity"])
    elif set(outputs) == {"foreground"}:
        right, down = _distances(torch.zeros_like(outputs["foreground"]))
    else:
        right, down = _distances(embedding_of(outputs))
        min_area = cells(outputs, min_area)
    size_hw = (right.shape[0], down.shape[1])
    inside = foreground_of(outputs, size_hw)
    right = torch.where(inside[:, 1:] & inside[:, :-1], 1 - right / threshold, -1.0).cpu().numpy()
    down = torch.where(inside[1:] & inside[:-1], 1 - down / threshold, -1.0).cpu().numpy()
    quality = np.zeros(size_hw)
    quality[:, :-1] += np.maximum(right, 0) / 2
    quality[:-1] += np.maximum(down, 0) / 2
    labels = np.where(inside.cpu().numpy(), linked_components(right >= 0, down >= 0), 0)
    return gathered(labels, quality, min_area=min_area)


def _break_probabilities(
    logits: Float32[Tensor, "c h w"],
) -> tuple[Float32[Tensor, "h w_minus_1"], Float32[Tensor, "h_minus_1 w"]]:
    if len(logits) != 2:
        raise ValueError(
            f"components: affinity has 2 channels, breaks to the right and below; got {len(logits)}"
        )
    probability = logits.sigmoid()
    return probability[0, :, :-1], probability[1, :-1]


def _distances(
    embedding: Float32[Tensor, "c h w"],
) -> tuple[Float32[Tensor, "h w_minus_1"], Float32[Tensor, "h_minus_1 w"]]:
    right = (embedding[:, :, 1:] - embedding[:, :, :-1]).square().sum(0).sqrt()
    down = (embedding[:, 1:] - embedding[:, :-1]).square().sum(0).sqrt()
    return right, down
