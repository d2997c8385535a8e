"""What a decoder makes of a network's outputs for one image: disjoint instances and their scores.

A decoder takes `{head: map}` of one image, float32 tensors `c h w` on any device, and options by
keyword; see DECODERS. It answers at the resolution of the finest embedding, or of the map that it
reads instead of one. Where the outputs have `foreground`, logits, instances lie inside it, else
anywhere. Those of fewer than `min_area` pixels, of the image, are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32
from torch import Tensor

from maskspace.masks import enlarge, from_label_map
from maskspace.partition.superpixels import row_major_labels
from maskspace.types import Proposals

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Decoded:
    """Instances 1 to n of a label map, 0 on the background, and the score of each."""

    labels: Int32[np.ndarray, "h w"]
    scores: Float32[np.ndarray, " n"]

    def proposals(self, size_hw: tuple[int, int], *, limit: int) -> Proposals:
        """Return the instances at an image's size, best first; equal scores go by label."""
        labels = enlarge(self.labels, size_hw)
        ids, masks = from_label_map(labels)
        scores = self.scores[ids - 1]
        order = np.argsort(-scores, kind="stable")[:limit]
        return Proposals(masks[order], scores[order])


def finest_level(outputs: Outputs) -> Float32[Tensor, "c h w"]:
    """Return the embedding at the smallest stride; ValueError if the outputs hold none."""
    strides = [int(name) for name in outputs if name.isdigit()]
    if not strides:
        raise ValueError(
            f"no embedding among the outputs {', '.join(outputs)}; choose a decoder of these"
        )
    return outputs[str(min(strides))]


def cells(outputs: Outputs, pixels: int) -> int:
    """Return so many pixels of an image in cells of the finest embedding, 1 at least."""
    strides = [int(name) for name in outputs if name.isdigit()]
    return max(1, pixels // min(strides, default=1) ** 2)


def need(outputs: Outputs, name: str, *, decoder: str) -> Float32[Tensor, "c h w"]:
    """Return an output, or raise ValueError that says which decoder wants it and what there is."""
    if name not in outputs:
        raise ValueError(
            f"decoder {decoder} needs the head {name}; the model has {', '.join(outputs)}"
        )
    return outputs[name]


def foreground_of(outputs: Outputs, size_hw: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """Return where instances may lie: above 0 of `foreground`, brought to a size bilinearly."""
    if "foreground" not in outputs:
        device = next(iter(outputs.values())).device
        return torch.ones(size_hw, dtype=torch.bool, device=device)
    return at_size(outputs["foreground"], size_hw)[0] > 0


def at_size(output: Float32[Tensor, "c h w"], size_hw: tuple[int, int]) -> Float32[Tensor, "c i j"]:
    """Return a map brought to a size bilinearly, unless it has that size."""
    if output.shape[1:] == size_hw:
        return output
    return torch.nn.functional.interpolate(output[None], size_hw, mode="bilinear")[0]


def gathered(
    labels: Int[np.ndarray, "h w"], quality: Float[np.ndarray, "h w"], *, min_area: int = 1
) -> Decoded:
    """Return the instances of a label map (0: none) that have at least `min_area` pixels.

    They are numbered in row-major order of their first pixel; the score of each is the mean of
    `quality` over it.
    """
    values, inverse, areas = np.unique(labels, return_inverse=True, return_counts=True)
    kept = (areas >= min_area) & (values != 0)
    inside = kept[inverse].reshape(labels.shape)
    found = np.zeros(labels.shape, np.int32)
    found[inside] = row_major_labels(labels[inside].astype(np.int32))
    count = int(found.max(initial=0))
    sums = np.bincount(found.ravel(), weights=quality.ravel(), minlength=count + 1)
    areas = np.bincount(found.ravel(), minlength=count + 1)
    scores = sums[1 : count + 1] / areas[1 : count + 1]
    return Decoded(found, scores.astype(np.float32))
