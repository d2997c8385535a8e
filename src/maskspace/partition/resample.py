"""Logit maps and embedding levels at another resolution."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32
from torch.nn import functional


def resize_maps(
    maps: Float32[np.ndarray, "k r s"], size_hw: tuple[int, int]
) -> Float32[np.ndarray, "k h w"]:
    """Return each map at `size_hw`, bilinear between pixel centres; the same size is a no-op."""
    if maps.shape[1:] == size_hw:
        return maps
    if len(maps) == 0:
        return np.zeros((0, *size_hw), np.float32)
    batched = torch.from_numpy(np.ascontiguousarray(maps))[None]
    resized = functional.interpolate(batched, size=size_hw, mode="bilinear", align_corners=False)
    return resized[0].numpy()


def stack_levels(
    levels: Mapping[int, Float32[np.ndarray, "_ _ _"]], strides: tuple[int, ...]
) -> Float32[np.ndarray, "c h w"]:
    """Return the levels at `strides` as one embedding, at the resolution of the finest of them.

    Coarser levels are brought up bilinearly. Channels are weighted so that the mean square over
    all of them is the mean over levels of each level's: every level counts the same, whatever
    its number of channels, and one level alone is returned as it is.
    """
    missing = [stride for stride in strides if stride not in levels]
    if missing or not strides:
        known = ", ".join(map(str, sorted(levels)))
        raise ValueError(f"levels {strides} are not all in the embedding; it has strides {known}")
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
