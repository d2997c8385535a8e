"""Algebra of dense masks: boxes, areas, intersections, masks <-> label map."""

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32, Int64, Shaped
from scipy import ndimage

from maskspace.masks.coded import decode, decode_runs


def areas(masks: Bool[np.ndarray, "n h w"]) -> Int64[np.ndarray, " n"]:
    """Return the number of pixels of each mask.

    Example:
        >>> areas(np.array([[[1, 1], [0, 1]], [[0, 0], [0, 0]]], bool)).tolist()
        [3, 0]
    """
    return masks.sum(axis=(1, 2), dtype=np.int64)


def boxes_xywh(masks: Bool[np.ndarray, "n h w"]) -> Int64[np.ndarray, "n 4"]:
    """Return the tight box of each mask: first column and row, columns and rows covered.

    An empty mask has the box 0, 0, 0, 0.

    Example:
        >>> mask = np.zeros((1, 5, 6), bool)
        >>> mask[0, 1:3, 2:6] = True
        >>> boxes_xywh(mask).tolist()
        [[2, 1, 4, 2]]
    """
    columns = np.asarray(masks.any(axis=1))  # n w
    rows = np.asarray(masks.any(axis=2))  # n h
    boxes = np.zeros((len(masks), 4), np.int64)
    for axis, present in enumerate((columns, rows)):
        first = present.argmax(axis=1)
        last = present.shape[1] - present[:, ::-1].argmax(axis=1)
        boxes[:, axis] = first
        boxes[:, axis + 2] = np.where(present.any(axis=1), last - first, 0)
    return boxes


def pairwise_intersections(
    predicted: Bool[np.ndarray, "n h w"], true: Bool[np.ndarray, "m h w"]
) -> Int64[np.ndarray, "n m"]:
    """Return the number of pixels that each predicted mask shares with each true mask.

    It is a float32 product over blocks of at most 2**22 pixels. So it is exact: every partial sum
    is an integer below 2**24.

    Example:
        >>> masks = np.array([[[1, 1, 0]], [[0, 1, 1]]], bool)
        >>> pairwise_intersections(masks, masks).tolist()
        [[2, 1], [1, 2]]
    """
    pixels = predicted.shape[1] * predicted.shape[2]
    flat_predicted, flat_true = (m.reshape(len(m), pixels) for m in (predicted, true))
    shared = np.zeros((len(predicted), len(true)), np.int64)
    block = max(1, min(1 << 22, (1 << 26) // max(1, len(predicted) + len(true))))
    for start in range(0, flat_predicted.shape[1], block):
        part = slice(start, start + block)
        left, right = flat_predicted[:, part], flat_true[:, part]
        shared += (left.astype(np.float32) @ right.T.astype(np.float32)).astype(np.int64)
    return shared


def pairwise_iou(
    predicted: Bool[np.ndarray, "n h w"], true: Bool[np.ndarray, "m h w"]
) -> Float64[np.ndarray, "n m"]:
    """Return intersection over union of every pair; two empty masks have IoU 0.

    Example:
        >>> masks = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], bool)
        >>> pairwise_iou(masks, np.ones((1, 1, 4), bool)).tolist()
        [[0.5], [0.5]]
    """
    shared = pairwise_intersections(predicted, true)
    union = areas(predicted)[:, None] + areas(true)[None, :] - shared
    return shared / np.maximum(union, 1)


def from_label_map(
    labels: Int[np.ndarray, "h w"],
) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, "n h w"]]:
    """Return the non-zero labels, ascending, and the mask of each.

    Example:
        >>> ids, masks = from_label_map(np.array([[7, 0, 3]]))
        >>> ids.tolist(), masks.astype(int).tolist()
        ([3, 7], [[[0, 0, 1]], [[1, 0, 0]]])
    """
    ids = np.unique(labels)
    ids = ids[ids != 0].astype(np.int64)
    return ids, labels[None] == ids[:, None, None]


#: Which of several masks at a pixel a label map shows.
Priority = Literal["smallest", "first"]


def to_label_map(
    masks: Bool[np.ndarray, "n h w"], *, priority: Priority = "smallest"
) -> Int64[np.ndarray, "h w"]:
    """Return a label map whose values are 1 + the index of a mask at the pixel, 0 without one.

    Args:
        masks: the masks.
        priority: which of several masks at a pixel counts: "smallest" (the finest of a nest; of
            equal areas the lower index) or "first" (default "smallest").

    Example:
        >>> masks = np.array([[[1, 1, 1, 0]], [[0, 1, 0, 0]]], bool)
        >>> to_label_map(masks).tolist()  # the smaller mask covers the larger one
        [[1, 2, 1, 0]]
        >>> to_label_map(masks, priority="first").tolist()
        [[1, 1, 1, 0]]
    """
    labels = np.zeros(masks.shape[1:], np.int64)
    for index in _paint_order(areas(masks), priority):
        labels[masks[index]] = index + 1
    return labels


def strings_to_label_map(
    counts: Sequence[str], size_hw: tuple[int, int], *, priority: Priority = "smallest"
) -> Int64[np.ndarray, "h w"]:
    """Return the label map of masks that come as COCO's strings; one at a time is dense.

    Example:
        >>> strings_to_label_map(["04", "22"], (2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    labels = np.zeros(size_hw, np.int64)
    for index in _paint_order(decode_runs(counts, size_hw).areas(), priority):
        labels[decode([counts[index]], size_hw)[0]] = index + 1
    return labels


def _paint_order(areas: Int64[np.ndarray, " n"], priority: Priority) -> list[int]:
    """Return the indices of masks, what shows in the end last."""
    last = -np.arange(len(areas))
    return np.lexsort((last, -areas) if priority == "smallest" else (last,)).tolist()


def keep_areas(
    labels: Int32[np.ndarray, "h w"], *, least: int, largest: int
) -> Int32[np.ndarray, "h w"]:
    """Return a label map with 0 for regions outside `least` to `largest` pixels.

    The other labels stay.

    Example:
        >>> labels = np.array([[1, 2, 2, 3, 3, 3]], np.int32)
        >>> keep_areas(labels, least=2, largest=2).tolist()
        [[0, 2, 2, 0, 0, 0]]
    """
    areas = np.bincount(labels.ravel())
    new_label = np.where((areas >= least) & (areas <= largest), np.arange(len(areas)), 0)
    return new_label.astype(np.int32)[labels]


def split_components(
    labels: Int[np.ndarray, "h w"],
) -> Int64[np.ndarray, "h w"]:
    """Return the label map with a label for each 4-connected component of equal value.

    Labels run from 1 in row-major order of each component's first pixel; 0 stays 0.

    Example:
        >>> split_components(np.array([[5, 0, 5], [5, 0, 2]])).tolist()
        [[1, 0, 2], [1, 0, 3]]
    """
    result = np.zeros(labels.shape, np.int64)
    offset = 0
    for value in np.unique(labels[labels != 0]):
        components = np.zeros(labels.shape, np.int32)
        count = cast("int", ndimage.label(labels == value, output=components))
        result[components > 0] = components[components > 0] + offset
        offset += count
    present, first = np.unique(result, return_index=True)
    order = np.zeros(offset + 1, np.int64)
    ranked = present[np.argsort(first, kind="stable")]
    order[ranked[ranked != 0]] = np.arange(1, offset + 1)
    return order[result]


def enlarge(
    array: Shaped[np.ndarray, "r s"], size_hw: tuple[int, int]
) -> Shaped[np.ndarray, "h w"]:
    """Return a mask or label map at a size that is no smaller, by nearest neighbour.

    Every row and column is repeated at least once, in order. So labels, the nesting of masks and
    the 4-connectedness of regions stay.

    Example:
        >>> enlarge(np.array([[1, 2]]), (2, 4)).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    if array.shape == size_hw:
        return array
    rows, columns = (
        nearest_index(large, small) for large, small in zip(size_hw, array.shape, strict=True)
    )
    return array.take(columns, axis=1).take(rows, axis=0)


def reduce(array: Shaped[np.ndarray, "h w"], size_hw: tuple[int, ...]) -> Shaped[np.ndarray, "r s"]:
    """Return an array at a smaller size: of each new pixel, what is at its centre.

    Args:
        array: labels, a mask, or numbers.
        size_hw: rows and columns, at most those of the array.

    Example:
        >>> reduce(np.array([[1, 2, 3, 4]]), (1, 2)).tolist()
        [[2, 4]]
    """
    rows, columns = (
        (2 * np.arange(small) + 1) * large // (2 * small)
        for small, large in zip(size_hw, array.shape, strict=True)
    )
    return array.take(columns, axis=1).take(rows, axis=0)


def nearest_index(large: int, small: int) -> Int64[np.ndarray, " h"]:
    """Return for each of `large` rows the nearest of `small` rows over the same extent.

    Example:
        >>> nearest_index(6, 3).tolist()
        [0, 0, 1, 1, 2, 2]
        >>> nearest_index(5, 3).tolist()
        [0, 0, 1, 2, 2]
    """
    if not 0 < small <= large:
        raise ValueError(f"{small} rows cannot be enlarged to {large}")
    return (2 * np.arange(large) + 1) * small // (2 * large)
