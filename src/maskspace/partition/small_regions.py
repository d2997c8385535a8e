"""Clean-up of masks: small holes are filled, small islands dropped.

As Segment Anything does (Kirillov et al. 2023, arXiv:2304.02643, appendix B; there
`min_mask_region_area`): first holes, then islands. Both are 8-connected; small is below the area. A
background region at the image's border counts as a hole. Where all islands are small the largest
stays, of equal ones the first in row-major order. Departure: an empty mask stays empty, also where
the whole image is smaller than the area.

On the CPU each mask is labelled inside its box. Tensors are labelled on their device, all together,
by spreading the lowest index of a region: the same answer, with more work.
"""

from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

_EIGHT = np.ones((3, 3), bool)
_BLOCK_PIXELS = 2**24  # pixels of tensors that are labelled at a time


def clean_small_regions(
    masks: Bool[np.ndarray, "n h w"], *, min_area: int
) -> tuple[Bool[np.ndarray, "n h w"], Bool[np.ndarray, " n"]]:
    """Return the masks without holes and islands below `min_area` pixels, and which masks had any.

    Masks that had any may have become duplicates: Segment Anything then suppresses again, and
    prefers the others.

    Example:
        >>> mask = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
        >>> cleaned, changed = clean_small_regions(mask[None], min_area=2)
        >>> cleaned[0].astype(int).tolist(), changed.tolist()
        ([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], [True])
    """
    cleaned, touched = np.array(masks, order="C"), np.zeros(len(masks), bool)
    for index, mask in enumerate(masks):
        if mask.any():
            touched[index] = _clean(mask, cleaned[index], min_area)
    return cleaned, touched


def clean_small_regions_of_tensors(
    masks: Bool[Tensor, "n h w"], *, min_area: int
) -> tuple[Bool[Tensor, "n h w"], Bool[Tensor, " n"]]:
    """Return what `clean_small_regions` returns, computed on the masks' device.

    `min_area` is in pixels.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]]).bool()
        >>> clean_small_regions_of_tensors(mask[None], min_area=2)[0].int().tolist()
        [[[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]]
    """
    if masks.numel() == 0:
        return masks.clone(), torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
    blocks = masks.split(max(1, _BLOCK_PIXELS // masks[0].numel()))
    cleaned, touched = zip(*(_clean_together(block, min_area) for block in blocks), strict=True)
    return torch.cat(cleaned), torch.cat(touched)


def _clean(mask: Bool[np.ndarray, "h w"], out: Bool[np.ndarray, "h w"], min_area: int) -> bool:
    """Write a mask that is not empty, without small regions, to `out`; return whether it had any.

    Around the mask's box one row or column of background is labelled on each side. It weighs as
    many as it stands for: they are all alike.
    """
    row, first_row, rows = _around(np.asarray(mask.any(axis=1)))
    column, first_column, columns = _around(np.asarray(mask.any(axis=0)))
    box = mask.take(first_column, axis=1).take(first_row, axis=0)
    weight = np.multiply.outer(rows, columns).astype(np.float64)
    holes, sizes = _regions(~box, weight)
    is_small_hole = sizes < min_area
    is_small_hole[0] = False
    filled = box | is_small_hole.take(holes)
    islands, sizes = _regions(filled, weight)
    is_small = sizes < min_area
    is_small[0] = True
    touched = bool(is_small_hole.any() or is_small[1:].any())
    if touched:
        if is_small.all():
            is_small[1 + sizes[1:].argmax()] = False
        out[:] = (~is_small).take(islands).take(column, axis=1).take(row, axis=0)
    return touched


def _around(
    present: Bool[np.ndarray, " h"],
) -> tuple[Int64[np.ndarray, " h"], Int64[np.ndarray, " r"], Int64[np.ndarray, " r"]]:
    """Return each row's place in the box with its margin, and each place's first row and rows."""
    top = int(present.argmax())
    bottom = len(present) - int(present[::-1].argmax())
    place = np.clip(np.arange(len(present)), max(top - 1, 0), min(bottom, len(present) - 1))
    place -= place[0]
    _, first, number = np.unique(place, return_index=True, return_counts=True)
    return place, first, number


def _regions(
    inside: Bool[np.ndarray, "r s"], weight: Float64[np.ndarray, "r s"]
) -> tuple[Int32[np.ndarray, "r s"], Float64[np.ndarray, " k"]]:
    """Return the region of each pixel, from 1, 0 outside, and the weight of each, 0 included."""
    labels = np.zeros(inside.shape, np.int32)
    count = cast("int", ndimage.label(inside, structure=_EIGHT, output=labels))
    return labels, np.bincount(labels.ravel(), weights=weight.ravel(), minlength=count + 1)


def _clean_together(
    masks: Bool[Tensor, "n h w"], min_area: int
) -> tuple[Bool[Tensor, "n h w"], Bool[Tensor, " n"]]:
    """Return a few masks without small regions, and which of them had any."""
    has_pixels = masks.flatten(1).any(dim=1)[:, None]
    regions, sizes = _regions_of_tensors(~masks)
    is_small_hole = (sizes.gather(1, regions) < min_area) & ~masks.flatten(1) & has_pixels
    filled = masks.flatten(1) | is_small_hole
    regions, sizes = _regions_of_tensors(filled.view_as(masks))
    is_small = (sizes.gather(1, regions) < min_area) & filled
    # where all are small: of the largest the one with the lowest label, its first pixel
    label = torch.arange(sizes.shape[1], device=masks.device)
    largest = sizes == sizes.amax(dim=1, keepdim=True)
    first = torch.where(largest, label, sizes.shape[1]).amin(dim=1, keepdim=True)
    is_spared = (is_small == filled).all(dim=1, keepdim=True) & (regions == first)
    cleaned = filled & (~is_small | is_spared)
    touched = (is_small_hole | is_small).any(dim=1)
    return cleaned.view_as(masks), touched


def _regions_of_tensors(
    inside: Bool[Tensor, "n h w"],
) -> tuple[Int64[Tensor, "n p"], Int64[Tensor, "n p_plus_1"]]:
    """Return the region of each pixel as the index of its first pixel, and the area of each.

    Outside is the index past the last pixel, with an area of 0. Labels only fall, and only to
    indices of the same region. So where no neighbour has a lower label, labels are the lowest.
    """
    count, pixels = len(inside), inside[0].numel()
    index = torch.arange(pixels, device=inside.device).view_as(inside[0])
    labels = torch.where(inside, index, pixels).flatten(1)  # n p
    outside = torch.full((count, 1), pixels, device=inside.device)
    while True:
        least = torch.where(inside, _least_around(labels.view_as(inside), pixels), pixels)
        if torch.equal(least.flatten(1), labels):
            break
        # a region's label falls to the lowest next to any of its pixels; then labels of labels
        parent = torch.cat([labels, outside], dim=1)
        parent.scatter_reduce_(1, labels, least.flatten(1), "amin")
        followed = parent.gather(1, labels)
        while not torch.equal(followed, labels):
            labels, followed = followed, parent.gather(1, followed)
    sizes = torch.zeros((count, pixels + 1), dtype=torch.int64, device=inside.device)
    sizes.scatter_add_(1, labels, inside.flatten(1).long())
    return labels, sizes


def _least_around(labels: Int64[Tensor, "n h w"], outside: int) -> Int64[Tensor, "n h w"]:
    """Return the lowest of the values of each pixel and its eight neighbours."""
    padded = functional.pad(labels, (1, 1, 1, 1), value=outside)
    across = padded[:, :, :-2].minimum(padded[:, :, 1:-1]).minimum(padded[:, :, 2:])
    return across[:, :-2].minimum(across[:, 1:-1]).minimum(across[:, 2:])
