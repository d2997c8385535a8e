"""Instances cut apart where the energy of the deep watershed is low, and grown back.

Deep watershed transform (Bai & Urtasun 2017, arXiv 1611.08303), without classes. `energy` has a
logit for each bin of the distance to the outside of the instance; bin 0 is outside. Departure: in
the paper a part that is never deeper than the cut is lost, such as a line two pixels wide. Here it
is an instance if it touches nothing deeper.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32
from scipy import ndimage
from torch import Tensor

from maskspace.partition.decoded import foreground_of, gathered, need
from maskspace.prediction import Prediction


def watershed_cut(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    energy: int = 1,
    expected: bool = False,
    shallow: bool = True,
    min_core: int = 8,
    min_area: int = 16,
) -> Prediction:
    """Return the 4-connected components of the bins above a cut, without holes, grown back.

    A component grows by `energy` + 1 steps inside the foreground, the bins above 0, each pixel to
    the nearest component: bins are a pixel wide where they begin, and the tip of a disc is off by
    one. The score is the mean probability of not being outside.

    Args:
        outputs: `energy`, and `foreground` if the network has it.
        energy: bin of the cut; components are of the bins above it (default 1).
        expected: True takes the mean bin of a pixel, rounded; False its likeliest (default False).
        shallow: True adds the components of the foreground that no other component reaches (default
            True).
        min_core: components of fewer pixels are dropped before they grow; of a disc of radius r, (r
            - `energy`)^2 pi pixels are above the cut (default 8).
        min_area: instances of fewer pixels are dropped (default 16).

    Raises ValueError where the output is missing, and for a bin above which there is none.

    Example:
        >>> import torch
        >>> bins = torch.tensor([0, 1, 2, 1, 0, 1, 2, 1, 0]).expand(9, 9)  # two ridges of energy
        >>> energy = 9 * torch.nn.functional.one_hot(bins, 3).permute(2, 0, 1).float()
        >>> watershed_cut({"energy": energy}, min_core=1, min_area=1).labels[0].tolist()
        [0, 1, 1, 1, 0, 2, 2, 2, 0]
    """
    logits = need(outputs, "energy", decoder="watershed_cut")
    if not 0 <= energy < len(logits) - 1:
        raise ValueError(
            f"watershed_cut: energy is a bin in 0..{len(logits) - 2} of {len(logits)}; got {energy}"
        )
    share = logits.softmax(0)
    bins = torch.arange(len(logits), device=logits.device, dtype=share.dtype)
    depth = (share * bins[:, None, None]).sum(0).round() if expected else share.argmax(0)
    inside = (depth > 0) & foreground_of(outputs, (logits.shape[1], logits.shape[2]))
    is_deep = (inside & (depth > energy)).cpu().numpy()
    cores = np.zeros(is_deep.shape, np.int32)
    ndimage.label(is_deep, output=cores)
    areas = np.bincount(cores.ravel())
    cores[areas[cores] < min_core] = 0
    grown = _grown(_filled(cores), inside.cpu().numpy(), steps=energy + 1)
    if shallow:
        grown = _with_untouched(grown, inside.cpu().numpy())
    return gathered(grown, (1 - share[0]).cpu().numpy(), min_area=min_area)


def _filled(labels: Int32[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Return components without holes: an unlabelled hole becomes a part of what encloses it."""
    filled = labels.copy()
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            is_own = labels[box] == label
            holes = ndimage.binary_fill_holes(is_own) & (labels[box] == 0)
            filled[box][holes] = label
    return filled


def _with_untouched(
    labels: Int32[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]
) -> Int32[np.ndarray, "h w"]:
    """Return the labels, and new ones for the components inside without any labelled pixel."""
    parts = np.zeros(labels.shape, np.int32)
    ndimage.label(inside, output=parts)
    is_reached = np.bincount(parts.ravel(), weights=(labels > 0).ravel()) > 0
    return np.where((parts > 0) & ~is_reached[parts], parts + labels.max(initial=0), labels)


def _grown(
    labels: Int32[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"], *, steps: int
) -> Int32[np.ndarray, "h w"]:
    """Return labels that also have the pixels inside within `steps` diagonal steps of them."""
    if not labels.any():
        return labels
    distance, nearest = cast(
        "tuple[np.ndarray, np.ndarray]",
        ndimage.distance_transform_edt(labels == 0, return_indices=True),
    )
    is_near = inside & (distance <= steps * 2**0.5 + 1e-6)
    return np.where(is_near, labels[tuple(nearest)], labels)
