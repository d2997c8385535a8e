"""Lovász losses: the convex closure of 1 - IoU, Berman et al. 2018 (arXiv 1705.08790).

Per map, eqs. 8 and 9 on the errors of the Lovász hinge or of the probabilities (Lovász-Softmax of
two classes, the foreground alone averaged); `lovasz_softmax` is that of many classes.
The gradient of the extension is written out instead of being a difference of neighbouring IoUs,
which in float32 would keep one digit or two of it on a megapixel.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32, Int64, UInt64
from torch import Tensor

from maskspace.compiled import compiled
from maskspace.objectives.masks import at_least_float32, margins, mean_over_maps
from maskspace.objectives.tiles import eager


def lovasz_hinge(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean over maps of the Lovász extension of 1 - IoU at the hinge errors.

    Convex in the logits, at least `margin` times 1 - IoU of the logits cut at 0, and 0 where all
    are on their side by the margin.
    """
    errors = (margin - margins(logits, truth)).clamp(min=0)
    return mean_over_maps(jaccard_extension(errors, truth > 0.5, truth >= 0), weight)


def lovasz_sigmoid(
    logits: Float[Tensor, "b h w"],
    truth: Float[Tensor, "b h w"],
    weight: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over maps of the Lovász extension of 1 - IoU at |truth - p|; in [0, 1]."""
    errors = (-margins(logits, truth)).sigmoid()
    return mean_over_maps(jaccard_extension(errors, truth > 0.5, truth >= 0), weight)


def lovasz_softmax(
    probabilities: Float[Tensor, "b n h w"], truth: Int[Tensor, "b h w"]
) -> Float[Tensor, "b n"]:
    """Return for each class of each map the Lovász extension of 1 - IoU at |[truth = c] - p_c|.

    The Lovász-Softmax is the mean over the classes, as a rule over those that a map has (eq. 12).
    `truth` is the class of each pixel from 0, below 0 where it is unknown; pixels of classes that
    have no channel are outside of all.
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
    """Return the gradient of `jaccard_extension` with respect to the errors; 0 where unknown."""
    if errors.dtype == torch.float32 and errors.device.type == "cpu":
        slopes = torch.empty_like(errors, memory_format=torch.contiguous_format)
        bits = errors.contiguous().view(torch.int32) & 0x7FFFFFFF  # -0 is 0
        arrays = (x.contiguous().numpy() for x in (bits, true, known, slopes))
        _slopes_by_radix(*arrays)
        return slopes
    return _slopes_by_sort(errors, true, known)


def _slopes_by_sort(
    errors: Float[Tensor, "b p"], true: Bool[Tensor, "b p"], known: Bool[Tensor, "b p"]
) -> Float[Tensor, "b p"]:
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


@compiled
def _slopes_by_radix(
    bits: Int32[np.ndarray, "b p"],
    true: Bool[np.ndarray, "b p"],
    known: Bool[np.ndarray, "b p"],
    slopes: Float32[np.ndarray, "b p"],
) -> None:
    """Write the slopes of float32 errors, given as their bits: those of numbers >= 0 sort as they.

    False pixels whose error is at most the least of a true one have slope 0 and are not sorted.
    """
    keys = np.empty(bits.shape[1], np.uint64)
    spare = np.empty(bits.shape[1], np.uint64)
    for row in range(bits.shape[0]):
        slopes[row] = 0
        number, least = 0, np.int32(-1)
        for pixel in range(bits.shape[1]):
            if known[row, pixel] and true[row, pixel]:
                if number == 0 or bits[row, pixel] < least:
                    least = bits[row, pixel]
                number += 1
        starts = np.zeros((3, 2048), np.int64)
        kept = 0
        for pixel in range(bits.shape[1]):
            hit = true[row, pixel]
            if known[row, pixel] and (hit or bits[row, pixel] > least):
                descending = np.uint64(0x7FFFFFFF - bits[row, pixel])
                keys[kept] = descending << np.uint64(32) | np.uint64(2 * pixel + hit)
                for digit in range(3):
                    starts[digit, descending >> np.uint64(11 * digit) & np.uint64(2047)] += 1
                kept += 1
        for digit in range(3):
            _distribute(keys[:kept], spare[:kept], starts[digit], np.uint64(32 + 11 * digit))
            keys, spare = spare, keys
        shared = union = number
        for key in keys[:kept]:
            pixel = (key & np.uint64(0xFFFFFFFF)) >> np.uint64(1)
            if key & np.uint64(1):
                slopes[row, pixel] = 1 / union
                shared -= 1
            else:
                union += 1
                slopes[row, pixel] = shared / (union * (union - 1)) if union > 1 else 1.0


@compiled
def _distribute(
    keys: UInt64[np.ndarray, " p"],
    to: UInt64[np.ndarray, " p"],
    counts: Int64[np.ndarray, " q"],
    shift: np.uint64,
) -> None:
    """Write keys to `to` in the order of a digit, of whose values there are `counts`."""
    total = 0
    for value in range(len(counts)):
        counts[value], total = total, total + counts[value]
    for key in keys:
        digit = key >> shift & np.uint64(2047)
        to[counts[digit]] = key
        counts[digit] += 1
