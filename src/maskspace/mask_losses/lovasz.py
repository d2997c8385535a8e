"""Lovász losses: the convex closure of 1 - IoU, Berman et al. 2018 (arXiv 1705.08790).

Per map, eqs. 8 and 9 on the errors of the Lovász hinge or of the probabilities (Lovász-Softmax of
two classes, the foreground alone averaged); `lovasz_softmax` is that of many classes.
The gradient of the extension is written out instead of being a difference of neighbouring IoUs,
which in float32 would keep one digit or two of it on a megapixel.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskspace.eager import eager
from maskspace.kernels.lovasz_slopes import slopes_by_radix
from maskspace.kernels.takes import kernels_take
from maskspace.mask_losses.masks import at_least_float32, margins, mean_over_maps


def lovasz_hinge(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean over maps of the Lovász extension of 1 - IoU at the hinge errors.

    Convex in the logits, at least `margin` times 1 - IoU of the logits cut at 0, and 0 where every
    logit is on its side of 0 by the margin.

    Args:
        logits: mask logits; the mask is where they are above 0.
        truth: 1 on the object, 0 off it, -1 where it is unknown.
        weight: weight of each map in the mean; None: all alike (default None).
        margin: absolute logit from which a right pixel costs nothing, > 0 (default 1).

    Example:
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
        >>> lovasz_hinge(2 * truth - 1, truth).item()
        0.0
        >>> lovasz_hinge(1 - 2 * truth, truth).item()  # every pixel errs by 2
        2.0
    """
    errors = (margin - margins(logits, truth)).clamp(min=0)
    return mean_over_maps(jaccard_extension(errors, truth > 0.5, truth >= 0), weight)


def lovasz_sigmoid(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over maps of the Lovász extension of 1 - IoU at |truth - p|; in [0, 1].

    Example:
        >>> truth = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
        >>> lovasz_sigmoid(torch.full((1, 1, 4), 50.0), truth).item()  # all on: the IoU is 2 / 4
        0.5
    """
    errors = (-margins(logits, truth)).sigmoid()
    return mean_over_maps(jaccard_extension(errors, truth > 0.5, truth >= 0), weight)


def lovasz_softmax(
    probabilities: Float[Tensor, "b n h w"], truth: Int[Tensor, "b h w"]
) -> Float[Tensor, "b n"]:
    """Return for each class of each map the Lovász extension of 1 - IoU at |[truth = c] - p_c|.

    `truth` is the class of each pixel, from 0; below 0 it is unknown. Pixels of a class without a
    channel are outside all classes. The Lovász-Softmax is the mean over the classes, usually over
    those that a map has (eq. 12).

    Example:
        >>> truth = torch.tensor([[[0, 0, 1, 1]]])
        >>> certain = torch.tensor([[[[1.0, 1, 1, 0]], [[0.0, 0, 0, 1]]]])  # pixel 2 is wrong
        >>> lovasz_softmax(certain, truth).mul(6).round().tolist()  # sixths: 1 - 2/3 and 1 - 1/2
        [[2.0, 3.0]]
    """
    number = probabilities.shape[1]
    classes = torch.arange(number, device=truth.device)[:, None, None]
    true = (truth[:, None] == classes).flatten(0, 1)
    known = (truth >= 0)[:, None].expand(-1, number, -1, -1).flatten(0, 1)
    wide = at_least_float32(probabilities).flatten(0, 1)
    errors = torch.where(true, 1 - wide, wide)
    return jaccard_extension(errors, true, known).unflatten(0, (-1, number))


def jaccard_extension(
    errors: Float[Tensor, "b h w"], true: Bool[Tensor, "b h w"], known: Bool[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Return for each map the Lovász extension of 1 - IoU at its errors, which are at least 0.

    Where the errors are 0 or 1 this is 1 - IoU of the mask that is wrong where they are 1; an
    empty true mask has IoU 1 with nothing and 0 with anything else.

    Example:
        >>> true = torch.tensor([[[True, True, False, False]]])
        >>> wrong = torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])  # a pixel missed, and one too many
        >>> round(jaccard_extension(wrong, true, torch.ones_like(true)).item(), 4)  # 1 - 1/3
        0.6667
    """
    errors = errors.flatten(1)
    with torch.no_grad():
        slopes = jaccard_slopes(errors, true.flatten(1), known.flatten(1))
    # linear in the errors as long as they keep their order
    return (errors * slopes).sum(1)


@eager  # machine code of its own
def jaccard_slopes(
    errors: Float[Tensor, "b p"], true: Bool[Tensor, "b p"], known: Bool[Tensor, "b p"]
) -> Float[Tensor, "b p"]:
    """Return the gradient of `jaccard_extension` with respect to the errors; 0 where unknown.

    Example:
        >>> true = torch.tensor([[True, True, False, False]])
        >>> errors = torch.tensor([[0.1, 0.4, 0.3, 0.0]])
        >>> slopes = jaccard_slopes(errors, true, torch.ones_like(true))
        >>> slopes.mul(6).round().tolist()  # sixths: the pixel that errs most costs 1/2
        [[2.0, 3.0, 1.0, 0.0]]
    """
    if kernels_take(errors):
        slopes = torch.empty_like(errors, memory_format=torch.contiguous_format)
        bits = errors.contiguous().view(torch.int32)
        bits, hit, certain = (x.contiguous().numpy() for x in (bits, true, known))
        scratch = np.empty((2, errors.shape[1]), np.uint64)
        slopes_by_radix(bits, hit, certain, slopes.numpy(), scratch)
        return slopes
    return slopes_by_sort(errors, true, known)


def slopes_by_sort(
    errors: Float[Tensor, "b p"], true: Bool[Tensor, "b p"], known: Bool[Tensor, "b p"]
) -> Float[Tensor, "b p"]:
    """Return what `jaccard_slopes` does, by sorting in torch: any device, any precision.

    Example:
        >>> true = torch.tensor([[True, True, False, False]])
        >>> errors = torch.tensor([[0.1, 0.4, 0.3, 0.0]])
        >>> slopes_by_sort(errors, true, torch.ones_like(true)).mul(6).round().tolist()  # sixths
        [[2.0, 3.0, 1.0, 0.0]]
    """
    # unknown pixels come last, so that they are in no set that holds a known one
    order = torch.where(known, errors, -1.0).argsort(dim=1, descending=True)
    hit = (true & known).gather(1, order)
    missed = hit.cumsum(1, dtype=torch.int32)
    shared = hit.sum(1, keepdim=True) - missed
    union = shared + torch.arange(1, hit.shape[1] + 1, device=hit.device)
    shared, union = shared.to(errors.dtype), union.to(errors.dtype)
    # one more true pixel wrong loses 1/union; one more false one, shared/union(before, after),
    # except that the first on an empty mask loses everything
    added = torch.where(union > 1, shared / (union * (union - 1)).clamp(min=1), 1.0)
    slopes = torch.where(hit, 1 / union, added)
    return torch.where(known, torch.empty_like(slopes).scatter_(1, order, slopes), 0.0)
