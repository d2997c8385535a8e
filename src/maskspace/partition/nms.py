"""Non-maximum suppression on masks: of proposals that overlap too much, keep the best.

Greedy, on the exact intersection over union of the masks themselves, not of their boxes: the
quotient of two whole numbers, rounded once to float64. Candidates come best first, equal scores in
the order of their indices, so the answer is the one of comparing every pair. Two empty masks have
an IoU of 0. The greedy pass is on the CPU, whatever device computes the areas; indices are numpy
arrays, which also index tensors.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from maskspace.masks.shared_area import atoms, shared_area, shared_area_of_tensors

Exceeds = Callable[[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]], Bool[np.ndarray, "n m"]]

# Candidates that are compared at a time. Candidates that are suppressed by earlier ones are never
# compared with each other. On a GPU the products of a larger block take less time than one more
# round trip to it.
_BLOCK, _BLOCK_OF_TENSORS = 256, 4096


def mask_nms(
    masks: Bool[np.ndarray, "n h w"] | Bool[Tensor, "n h w"],
    scores: Float[np.ndarray, " n"] | Float[Tensor, " n"],
    *,
    overlap: float = 0.7,
) -> Int64[np.ndarray, " m"]:
    """Return the indices of the masks that are kept, best first.

    A mask is kept if its IoU with every better mask that is kept is at most `overlap`. Masks on a
    GPU are compared there, by products over their pixels; others as unions of their atoms.

    Args:
        masks: the masks, as an array or a tensor.
        scores: the score of each mask; a higher one is better.
        overlap: largest IoU, in [0, 1]; at 1 everything is kept (default 0.7).

    Raises ValueError for an overlap outside of [0, 1], a score that is not a number, and another
    number of scores than masks.

    Example:
        >>> masks = np.array([[[1, 1, 0, 0]], [[1, 1, 1, 0]], [[0, 0, 0, 1]]], bool)
        >>> mask_nms(masks, np.array([0.5, 0.9, 0.1]), overlap=0.5).tolist()
        [1, 2]
    """
    if isinstance(masks, Tensor) and masks.device.type != "cpu":
        flat_masks = masks.flatten(1)
        pixels = torch.ones(flat_masks.shape[1], dtype=torch.int64, device=masks.device)
        return union_nms(flat_masks, pixels, scores, overlap=overlap)
    dense = masks.numpy() if isinstance(masks, Tensor) else masks
    covered, areas = atoms(dense)
    return union_nms(covered, areas, scores, overlap=overlap)


def union_nms(
    covered: Bool[np.ndarray, "n s"] | Bool[Tensor, "n s"],
    areas: Int[np.ndarray, " s"] | Int[Tensor, " s"],
    scores: Float[np.ndarray, " n"] | Float[Tensor, " n"],
    *,
    overlap: float = 0.7,
) -> Int64[np.ndarray, " m"]:
    """Return what `mask_nms` returns for masks that are unions of superpixels.

    Args:
        covered: the superpixels that each mask has.
        areas: pixels of each superpixel; an array if `covered` is one, else a tensor on its device.
        scores: as in `mask_nms`.
        overlap: as in `mask_nms` (default 0.7).

    Example:
        >>> covered = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], bool)
        >>> union_nms(covered, np.array([4, 4, 4]), np.array([0.5, 0.9, 0.1]), overlap=0.5).tolist()
        [1, 2]
    """
    order = _best_first(scores, len(covered), overlap=overlap)
    if isinstance(covered, Tensor) and isinstance(areas, Tensor):
        whole_image = torch.ones((1, len(areas)), dtype=torch.bool, device=covered.device)
        size = shared_area_of_tensors(covered, whole_image, areas)[:, 0]
        exceeds = partial(_tensors_exceed, covered, areas, size, overlap)
        return _greedy(order, exceeds, block=_BLOCK_OF_TENSORS)
    if isinstance(covered, Tensor) or isinstance(areas, Tensor):
        raise TypeError("superpixels covered and their areas are both arrays or both tensors")
    size = shared_area(covered, np.ones((1, len(areas)), bool), areas)[:, 0]
    return _greedy(order, partial(_arrays_exceed, covered, areas, size, overlap), block=_BLOCK)


def box_nms(
    boxes_xywh: Int[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"], *, overlap: float = 0.7
) -> Int64[np.ndarray, " m"]:
    """Return what `mask_nms` returns with the IoU of boxes: what others do, for comparison.

    Args:
        boxes_xywh: boxes of `masks.boxes_xywh`; w and h are the numbers of columns and rows
            covered. Segment Anything's boxes, whose last column and row are where the mask ends,
            are 1 pixel smaller.
        scores: as in `mask_nms`.
        overlap: as in `mask_nms` (default 0.7).

    Example:
        >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [8, 8, 2, 2]])
        >>> box_nms(boxes, np.array([0.9, 0.8, 0.7])).tolist()
        [0, 2]
    """
    order = _best_first(scores, len(boxes_xywh), overlap=overlap)
    boxes = boxes_xywh.astype(np.int64)
    return _greedy(order, partial(_boxes_exceed, boxes, overlap), block=_BLOCK)


def iou_nms(
    iou: Float64[np.ndarray, "n n"], scores: Float[np.ndarray, " n"], *, overlap: float = 0.7
) -> Int64[np.ndarray, " m"]:
    """Return what `mask_nms` returns, given the table of the IoU of all pairs.

    Args:
        iou: the table.
        scores: as in `mask_nms`.
        overlap: as in `mask_nms` (default 0.7).

    Example:
        >>> iou = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.1], [0.1, 0.1, 1.0]])
        >>> iou_nms(iou, np.array([0.9, 0.8, 0.7])).tolist()
        [0, 2]
    """
    order = _best_first(scores, len(iou), overlap=overlap)
    return _greedy(order, lambda a, b: iou[np.ix_(a, b)] > overlap, block=_BLOCK)


def _best_first(
    scores: Float[np.ndarray, " n"] | Float[Tensor, " n"], count: int, *, overlap: float
) -> Int64[np.ndarray, " n"]:
    """Return the order in which candidates come; ValueError for arguments that give no order."""
    if not 0 <= overlap <= 1:
        raise ValueError(f"overlap is an IoU in [0, 1]; got {overlap}")
    if len(scores) != count:
        raise ValueError(f"{count} masks have a score each; got {len(scores)} scores")
    values = scores.double().cpu().numpy() if isinstance(scores, Tensor) else scores
    if np.isnan(values).any():
        raise ValueError(f"score {int(np.isnan(values).argmax())} is not a number")
    return np.argsort(-values, kind="stable")


def _greedy(
    order: Int64[np.ndarray, " n"], exceeds: Exceeds, *, block: int
) -> Int64[np.ndarray, " m"]:
    """Return the candidates that are kept; each block is compared with all that are kept before."""
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), block):
        candidates = order[start : start + block]
        if len(kept):
            candidates = candidates[~exceeds(kept, candidates).any(axis=0)]
        kept = np.concatenate([kept, candidates[_unsuppressed(exceeds(candidates, candidates))]])
    return kept


def _unsuppressed(over: Bool[np.ndarray, "n n"]) -> list[int]:
    """Return the kept rows in order; each suppresses the later rows that it overlaps too much."""
    kept, suppressed = [], np.zeros(len(over), bool)
    for index, row in enumerate(over):
        if not suppressed[index]:
            kept.append(index)
            suppressed |= row
    return kept


def _arrays_exceed(
    covered: Bool[np.ndarray, "k s"],
    areas: Int[np.ndarray, " s"],
    size: Float64[np.ndarray, " k"],
    overlap: float,
    left: Int64[np.ndarray, " n"],
    right: Int64[np.ndarray, " m"],
) -> Bool[np.ndarray, "n m"]:
    """Return which pairs of unions of superpixels have an IoU above `overlap`."""
    shared = shared_area(covered[left], covered[right], areas)
    return shared / np.maximum(size[left, None] + size[None, right] - shared, 1) > overlap


def _tensors_exceed(
    covered: Bool[Tensor, "k s"],
    areas: Int[Tensor, " s"],
    size: Float64[Tensor, " k"],
    overlap: float,
    left: Int64[np.ndarray, " n"],
    right: Int64[np.ndarray, " m"],
) -> Bool[np.ndarray, "n m"]:
    """Return what `_arrays_exceed` returns, computed on the device of the tables."""
    rows, columns = (torch.from_numpy(part).to(covered.device) for part in (left, right))
    shared = shared_area_of_tensors(covered[rows], covered[columns], areas)
    union = size[rows, None] + size[None, columns] - shared
    return (shared / union.clamp(min=1) > overlap).cpu().numpy()


def _boxes_exceed(
    boxes_xywh: Int64[np.ndarray, "k 4"],
    overlap: float,
    left: Int64[np.ndarray, " n"],
    right: Int64[np.ndarray, " m"],
) -> Bool[np.ndarray, "n m"]:
    """Return which pairs of boxes have an IoU above `overlap`."""
    start, side = boxes_xywh[:, :2], boxes_xywh[:, 2:]
    area = side.prod(axis=1)
    first = np.maximum(start[left, None], start[None, right])
    last = np.minimum((start + side)[left, None], (start + side)[None, right])
    shared = np.maximum(last - first, 0).prod(axis=2)
    return shared / np.maximum(area[left, None] + area[None, right] - shared, 1) > overlap
