"""Level-line loss: one logit a pixel that has every mask of a nest as an upper level set.

An ordinal, or cumulative-link, model with known thresholds (all-threshold form: Rennie and Srebro
2005): for masks M_1 inside M_2 inside ... M_K, a pixel's rank is the number of masks that hold it
and p(pixel in M_k) = sigmoid(z - logit t_k), so the finest mask has the highest threshold.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.mask_losses.masks import MaskLoss, at_least_float32


def level_line(
    base: MaskLoss, logits: Float[Tensor, "b h w"], nest: Float[Tensor, "b m h w"]
) -> Float[Tensor, ""]:
    """Return the mean over images of (1/K) sum_k base(z - logit t_k, M_k); K may differ.

    A mask that is -1 everywhere is padding, wherever it stands, and does not count towards K. An
    image of padding alone takes no part in the mean, which is 0 where all images are such. With one
    mask an image, this is `base`.

    Not every base has its minimum where every mask is a level set:
    - likelihoods draw each pixel between the thresholds of the two masks that it lies between, for
      K up to 4; with five masks or more they draw the outer rings further out;
    - hinges can be 0 only if the margin is at most half of the smallest step between thresholds:
      0.69, 0.54 and 0.40 for K of 2, 3 and 4;
    - overlaps of probabilities (`dice`, `lovasz_sigmoid`, `soft_iou`) may give up a mask:
      thresholds are about a logit apart, so that no probability between them is near 0 or 1.

    Args:
        base: the loss of one mask, one of MASK_LOSSES.
        logits: one logit z a pixel.
        nest: the masks of each image, finest first: 1 on, 0 off, -1 unknown.

    Example:
        >>> from maskspace.mask_losses import MASK_LOSSES
        >>> nest = torch.tensor([[[[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]]])  # one pixel, then two
        >>> logits = torch.tensor([[[9.0, 0.0, -9.0]]])  # higher where more masks hold the pixel
        >>> right = level_line(MASK_LOSSES["hinge"], logits, nest)
        >>> bool(right < level_line(MASK_LOSSES["hinge"], -logits, nest))
        True
    """
    real = (nest >= 0).any(3).any(2)
    number = real.sum(1, keepdim=True)
    shifted = (
        at_least_float32(logits)[:, None]
        - threshold_logits(real.cumsum(1), number)[..., None, None]
    )
    weight = torch.where(real, 1 / number.clamp(min=1), 0.0)
    return base(shifted.flatten(0, 1), nest.flatten(0, 1), weight.flatten())


def threshold_logits(rank: Int[Tensor, "b m"], number: Int[Tensor, "b 1"]) -> Float[Tensor, "b m"]:
    """Return logit t_k of the masks of rank k, among `number` masks; rank 1 is the finest.

    Example:
        >>> logits = threshold_logits(torch.tensor([[1, 2, 3]]), torch.tensor([[3]]))
        >>> [round(t, 4) for t in logits.sigmoid()[0].tolist()]  # as `cut_levels(3)`
        [0.75, 0.5, 0.25]
    """
    rank = rank.clamp(min=1)
    return torch.log((number + 1 - rank).clamp(min=1)) - torch.log(rank)


def cut_levels(number: int) -> tuple[float, ...]:
    """Return the thresholds t_k = (K - k + 1) / (K + 1) of K nested masks, finest first.

    Example:
        >>> cut_levels(3)
        (0.75, 0.5, 0.25)
    """
    return tuple((number - k + 1) / (number + 1) for k in range(1, number + 1))
