"""Overlapping masks in a few grey PNGs: the coding of COCO+LVIS's mask files.

Steps: masks go from the largest to the smallest; each goes to the first layer in which its pixels
are free and which has fewer than 255 masks; its value there is its number in the layer, from 1.
(Sofiiuk et al. 2021, arXiv:2102.06583.)
"""

import io
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from maskspace.masks import areas
from maskspace.masks.coded import encode_runs
from maskspace.masks.runs import Runs, label_map_runs

#: The layer of each mask and its value there.
Mapping: TypeAlias = list[tuple[int, int]]

PER_LAYER = 255


def encode_layers(masks: Bool[np.ndarray, "n h w"]) -> tuple[list[bytes], Mapping]:
    """Return the layers as PNGs, and for each mask its layer and its value there.

    Of masks with equal areas the later one goes first.

    Example:
        >>> masks = np.array([[[1, 1]], [[1, 0]]], bool)  # the two overlap
        >>> layers, mapping = encode_layers(masks)
        >>> len(layers), mapping
        (2, [(0, 1), (1, 1)])
    """
    layers: list[UInt8[np.ndarray, "h w"]] = []
    counts: list[int] = []
    mapping = [(0, 0)] * len(masks)
    for index in np.argsort(areas(masks), kind="stable")[::-1].tolist():
        mask = masks[index]
        free_layers = (
            i for i, layer in enumerate(layers) if counts[i] < PER_LAYER and not layer[mask].any()
        )
        number = next(free_layers, len(layers))
        if number == len(layers):
            layers.append(np.zeros(mask.shape, np.uint8))
            counts.append(0)
        counts[number] += 1
        layers[number][mask] = counts[number]
        mapping[index] = (number, counts[number])
    return [_png(layer) for layer in layers], mapping


def _png(layer: UInt8[np.ndarray, "h w"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(layer).save(buffer, format="PNG")
    return buffer.getvalue()


def layer_counts(layers: Sequence[Int64[np.ndarray, "h w"]], mapping: Mapping) -> list[str]:
    """Return the run-length string of each mask.

    Args:
        layers: the decoded layers.
        mapping: for each mask its layer and its value there.

    Raises ValueError `mask N: ...`, N from 0, for a mask whose layer is not there or has no pixel
    of its value.

    Example:
        >>> from maskspace.masks import encode
        >>> layers = [np.array([[1, 2]])]
        >>> layer_counts(layers, [(0, 2)]) == encode(np.array([[[0, 1]]], bool))
        True
    """
    size_hw = layers[0].shape if layers else (0, 0)
    by_value = [_by_value(label_map_runs(layer), size_hw) for layer in layers]
    for index, (layer, value) in enumerate(mapping):
        if not 0 <= layer < len(layers):
            raise ValueError(f"mask {index}: is in layer {layer} of {len(layers)}")
        if value not in by_value[layer]:
            raise ValueError(f"mask {index}: layer {layer} has no pixel of value {value}")
    return [by_value[layer][value] for layer, value in mapping]


def _by_value(
    labelled: tuple[Int64[np.ndarray, " n"], Runs], size_hw: tuple[int, int]
) -> dict[int, str]:
    ids, runs = labelled
    return dict(zip(ids.tolist(), encode_runs(runs, size_hw), strict=True))
