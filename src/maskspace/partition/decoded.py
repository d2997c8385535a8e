"""What decoders share: levels, foreground, and disjoint instances as a `Prediction`.

A decoder takes the outputs of a network for one image by head, float32 on any device: maps `c h w`
and queries `n c`. Its options are keyword-only; see DECODERS. It returns a `Prediction` at the
resolution of the finest embedding, or of the map that it reads in place of one. The instances are
disjoint, as a label map (`gathered`), or masks that may overlap, with their classes. Where the
outputs have `foreground`, logits, instances are inside it only. Instances of fewer than `min_area`
pixels of the image are dropped.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from maskspace.heads import levels_of
from maskspace.partition.superpixels import row_major_labels
from maskspace.prediction import Prediction

HeadOutputs = Mapping[str, Tensor]


def finest_level(outputs: HeadOutputs) -> Float32[Tensor, "c h w"]:
    """Return the embedding at the smallest stride; ValueError if the outputs have none.

    Example:
        >>> import torch
        >>> finest_level({"4": torch.zeros(3, 2, 2), "1": torch.zeros(3, 8, 8)}).shape
        torch.Size([3, 8, 8])
    """
    levels = levels_of(outputs)
    if not levels:
        raise ValueError(
            f"no embedding among the outputs {', '.join(outputs)}; choose a decoder of these"
        )
    return levels[min(levels)]


def cells(outputs: HeadOutputs, pixels: int) -> int:
    """Return how many cells of the finest embedding have this area in pixels, at least 1.

    Example:
        >>> import torch
        >>> cells({"2": torch.zeros(3, 4, 4)}, 16)  # a cell of stride 2 holds four pixels
        4
    """
    return max(1, pixels // min(levels_of(outputs), default=1) ** 2)


def need(outputs: HeadOutputs, name: str, *, decoder: str) -> Float32[Tensor, "c ..."]:
    """Return the output `name`.

    Raises ValueError where it is missing; the error names the `decoder` and the heads that are
    there.

    Example:
        >>> import torch
        >>> need({"seed": torch.zeros(1, 2, 2)}, "seed", decoder="sequential_gaussian").shape
        torch.Size([1, 2, 2])
    """
    if name not in outputs:
        raise ValueError(
            f"decoder {decoder} needs the head {name}; the model has {', '.join(outputs)}"
        )
    return outputs[name]


def foreground_of(outputs: HeadOutputs, size_hw: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """Return where instances may be: where `foreground`, resized bilinearly, is above 0.

    Without that head it is everywhere.

    Example:
        >>> import torch
        >>> foreground_of({"foreground": torch.tensor([[[2.0, -2.0]]])}, (1, 2)).tolist()
        [[True, False]]
        >>> foreground_of(
        ...     {"1": torch.zeros(3, 1, 2)}, (1, 2)
        ... ).tolist()  # without that head all is foreground
        [[True, True]]
    """
    if "foreground" not in outputs:
        device = next(iter(outputs.values())).device
        return torch.ones(size_hw, dtype=torch.bool, device=device)
    return at_size(outputs["foreground"], size_hw)[0] > 0


def at_size(output: Float32[Tensor, "c h w"], size_hw: tuple[int, int]) -> Float32[Tensor, "c i j"]:
    """Return a map resized bilinearly, or as it is where it has that size.

    Example:
        >>> import torch
        >>> at_size(torch.tensor([[[0.0, 1.0]]]), (1, 4)).tolist()
        [[[0.0, 0.25, 0.75, 1.0]]]
    """
    if output.shape[1:] == size_hw:
        return output
    return torch.nn.functional.interpolate(output[None], size_hw, mode="bilinear")[0]


def gathered(
    labels: Int[np.ndarray, "h w"], quality: Float[np.ndarray, "h w"], *, min_area: int = 1
) -> Prediction:
    """Return the instances of a label map (0: none) as a `Prediction`.

    They are numbered in row-major order of their first pixels. The score of an instance is the mean
    of `quality` over its pixels. Instances of fewer than `min_area` pixels are dropped (default 1:
    none).

    Example:
        >>> labels = np.array([[5, 5, 2, 0]])
        >>> found = gathered(labels, np.array([[1.0, 0.5, 0.2, 0.0]]), min_area=2)
        >>> found.labels.tolist(), found.scores.tolist()
        ([[1, 1, 0, 0]], [0.75])
    """
    values, inverse, areas = np.unique(labels, return_inverse=True, return_counts=True)
    is_kept = (areas >= min_area) & (values != 0)
    is_kept_pixel = is_kept[inverse].reshape(labels.shape)
    numbered = np.zeros(labels.shape, np.int32)
    numbered[is_kept_pixel] = row_major_labels(labels[is_kept_pixel].astype(np.int32))
    count = int(numbered.max(initial=0))
    sums = np.bincount(numbered.ravel(), weights=quality.ravel(), minlength=count + 1)
    areas = np.bincount(numbered.ravel(), minlength=count + 1)
    scores = sums[1 : count + 1] / areas[1 : count + 1]
    return Prediction.of_labels(numbered, scores)
