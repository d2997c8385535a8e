"""Logit maps and embedding levels at another resolution."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch.nn import functional


def resize_maps(
    maps: Float32[np.ndarray, "k r s"], size_hw: tuple[int, int]
) -> Float32[np.ndarray, "k h w"]:
    """Return each map at another size, bilinear between pixel centres.

    Maps that have that size are returned as they are.

    Example:
        >>> resize_maps(np.array([[[0.0, 1.0]]], np.float32), (1, 4)).tolist()
        [[[0.0, 0.25, 0.75, 1.0]]]
    """
    if maps.shape[1:] == size_hw:
        return maps
    if len(maps) == 0:
        return np.zeros((0, *size_hw), np.float32)
    batched = torch.from_numpy(np.ascontiguousarray(maps))[None]
    resized = functional.interpolate(batched, size=size_hw, mode="bilinear", align_corners=False)
    return resized[0].numpy()


def resize_window(
    values: Float32[np.ndarray, "r s"],
    size_hw: tuple[int, int],
    *,
    around: Bool[np.ndarray, "r s"],
) -> tuple[Float32[np.ndarray, "a b"], tuple[int, int]]:
    """Return a window of a map at another size, and the window's column and row.

    Bilinear between pixel centres, as `resize_maps`. The window holds every pixel whose value
    depends on a pixel of the mask. An empty mask has an empty window.

    Args:
        values: the map.
        size_hw: rows and columns of the other size.
        around: the mask that the window is around.

    Example:
        >>> values = np.zeros((4, 4), np.float32)
        >>> values[0, 0] = 1
        >>> window, corner_xy = resize_window(values, (8, 8), around=values > 0)
        >>> window.shape, corner_xy
        ((3, 3), (0, 0))
    """
    sides = [
        _weights(np.flatnonzero(around.any(axis=1 - axis)), small, large)
        for axis, (small, large) in enumerate(zip(values.shape, size_hw, strict=True))
    ]
    (top, rows, down), (left, columns, along) = sides
    across = values.take(rows, axis=0) * (1 - down)[:, None]
    across += values.take(np.minimum(rows + 1, values.shape[0] - 1), axis=0) * down[:, None]
    window = across.take(columns, axis=1) * (1 - along)
    window += across.take(np.minimum(columns + 1, values.shape[1] - 1), axis=1) * along
    return window, (left, top)


def _weights(
    present: Int64[np.ndarray, " p"], small: int, large: int
) -> tuple[int, Int64[np.ndarray, " a"], Float32[np.ndarray, " a"]]:
    """Return the first place reached on the large side; of each its lower neighbour, and a weight.

    Reached are the places in whose value a `present` small place has a share. The weight is that of
    the small place after the lower neighbour.
    """
    if len(present) == 0:
        return 0, np.zeros(0, np.int64), np.zeros(0, np.float32)
    place = np.clip((np.arange(large) + 0.5) * (small / large) - 0.5, 0, small - 1)
    reached = np.flatnonzero((place > present[0] - 1) & (place < present[-1] + 1))
    lower = place[reached].astype(np.int64)
    return int(reached[0]), lower, (place[reached] - lower).astype(np.float32)


def stack_levels(
    levels: Mapping[int, Float32[np.ndarray, "_ _ _"]], strides: tuple[int, ...]
) -> Float32[np.ndarray, "c h w"]:
    """Return the levels at `strides` as one embedding, at the resolution of the finest of them.

    Coarser levels are enlarged bilinearly. Channels are weighted so that the mean square over all
    of them is the mean over the levels' own mean squares: every level counts the same, whatever its
    number of channels. One level alone is returned as it is. Raises ValueError for strides without
    a level.

    Example:
        >>> levels = {1: np.zeros((3, 4, 4), np.float32), 2: np.zeros((12, 2, 2), np.float32)}
        >>> stack_levels(levels, (1, 2)).shape
        (15, 4, 4)
    """
    missing = [stride for stride in strides if stride not in levels]
    if missing or not strides:
        strides_there = ", ".join(map(str, sorted(levels)))
        raise ValueError(
            f"levels {strides} are not all in the embedding; it has strides {strides_there}"
        )
    if len(strides) == 1:
        return levels[strides[0]]
    size_hw = levels[min(strides)].shape[1:]
    channels = sum(len(levels[stride]) for stride in strides)
    weighted = [
        resize_maps(levels[stride], size_hw)
        * np.float32((channels / (len(strides) * len(levels[stride]))) ** 0.5)
        for stride in strides
    ]
    return np.concatenate(weighted)
