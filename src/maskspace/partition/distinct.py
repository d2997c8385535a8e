"""Masks at the image's size, none of which is nearly another: exact NMS one mask at a time.

Input: masks, best first, each as a window of the image. Steps: boxes and areas bound the IoU with
each kept mask from above; only where the bound is above `overlap` pixels are counted, eight at a
time, as bits in the bytes that the image's columns fall in. Cost: memory for the bits of the kept
masks inside their boxes.
"""

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from maskspace.masks import encode
from maskspace.partition.small_regions import clean_small_regions
from maskspace.types import Prediction


class DistinctMasks:
    """Up to `limit` masks, each with an IoU of at most `overlap` with every mask kept before.

    Args:
        size_hw: rows and columns of the image.
        limit: most masks.
        overlap: largest IoU with a kept mask, in [0, 1].
        nms: "mask" compares masks, "box" their boxes.
        min_region: holes and islands of fewer pixels are removed first (0 or 1: none).

    Example:
        >>> distinct = DistinctMasks((4, 4), 10, overlap=0.5, nms="mask", min_region=0)
        >>> square = np.ones((2, 2), bool)
        >>> for corner_xy in [(0, 0), (0, 0), (2, 2)]:  # the second is the first once more
        ...     _ = distinct.add(square, corner_xy, 0.9)
        >>> len(distinct.proposals())
        2
    """

    def __init__(
        self, size_hw: tuple[int, int], limit: int, *, overlap: float, nms: str, min_region: int
    ) -> None:
        self.overlap, self.by_box, self.min_region = overlap, nms == "box", min_region
        self._size_hw = size_hw
        self._bits: list[
            UInt8[np.ndarray, "a b"]
        ] = []  # first byte: that of the box's first column
        self._boxes = np.zeros((limit, 4), np.int64)  # first column and row, those after the last
        self._areas = np.zeros(limit, np.int64)
        self._scores: list[float] = []

    def add(self, window: Bool[np.ndarray, "a b"], corner_xy: tuple[int, int], score: float) -> int:
        """Keep a mask, unless it is empty or nearly a kept one; return the number of kept masks.

        `window` is the mask around its box and `corner_xy` the column and row of its corner. Once
        `limit` masks are kept no more may be added.
        """
        count = len(self._scores)
        x, y = corner_xy
        if self.min_region > 1:
            whole = np.zeros((1, *self._size_hw), bool)
            whole[0, y : y + window.shape[0], x : x + window.shape[1]] = window
            window = clean_small_regions(whole, min_area=self.min_region)[0][0]
            x = y = 0
        rows, columns = (np.flatnonzero(window.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            return count
        window = window[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        left, top = x + int(columns[0]), y + int(rows[0])
        box = np.array([left, top, left + window.shape[1], top + window.shape[0]])
        area = int(np.count_nonzero(window))
        bits = np.packbits(np.pad(window, ((0, 0), (left % 8, 0))), axis=1)
        if self._is_known(bits, box, area, count):
            return count
        self._bits.append(bits)
        self._boxes[count], self._areas[count] = box, area
        self._scores.append(score)
        return count + 1

    def proposals(self) -> Prediction:
        """Return the kept masks in the order in which they were added."""
        counts = [self._string(index) for index in range(len(self._bits))]
        return Prediction.of_strings(counts, self._size_hw, np.array(self._scores, np.float32))

    def _string(self, index: int) -> str:
        left, top, right, bottom = self._boxes[index]
        mask = np.zeros((1, *self._size_hw), bool)
        mask[0, top:bottom, left:right] = np.unpackbits(self._bits[index], axis=1)[
            :, left % 8 : left % 8 + right - left
        ]
        return encode(mask)[0]

    def _is_known(
        self, bits: UInt8[np.ndarray, "a b"], box: Int64[np.ndarray, " 4"], area: int, count: int
    ) -> bool:
        boxes, areas = self._boxes[:count], self._areas[:count]
        low = np.maximum(boxes[:, :2], box[:2])
        high = np.minimum(boxes[:, 2:], box[2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        if self.by_box:
            areas, area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), (box[2:] - box[:2]).prod()
        else:
            shared = np.minimum(np.minimum(areas, area), shared)
        rivals = np.flatnonzero(shared / (areas + area - shared) > self.overlap).tolist()
        if self.by_box:
            return bool(rivals)
        return any(self._iou(bits, box, area, index) > self.overlap for index in rivals)

    def _iou(
        self, bits: UInt8[np.ndarray, "a b"], box: Int64[np.ndarray, " 4"], area: int, index: int
    ) -> float:
        left, top = np.maximum(self._boxes[index, :2], box[:2]).tolist()
        right, bottom = np.minimum(self._boxes[index, 2:], box[2:]).tolist()
        own_bits, other_bits = (
            window_bits[
                top - corner_xy[1] : bottom - corner_xy[1],
                left // 8 - corner_xy[0] // 8 : -(-right // 8) - corner_xy[0] // 8,
            ]
            for corner_xy, window_bits in ((box, bits), (self._boxes[index], self._bits[index]))
        )
        shared = int(np.bitwise_count(own_bits & other_bits).sum(dtype=np.int64))
        return shared / (area + int(self._areas[index]) - shared)
