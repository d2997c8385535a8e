"""SAM 2 and 2.1 on single images, by `transformers`.

Ravi et al. 2024 (arXiv:2408.00714). As in the authors' code the image is stretched to the network's
square by a bilinear filter that widens where it shrinks, on colours that are not rounded, and maps
are brought from the network's resolution to the image's size in one bilinear step.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional

from maskspace.peers.pretrained import pretrained, setting
from maskspace.peers.prompted import PlacedImage, PromptedNetwork, Seen
from maskspace.peers.sam_family import of_sam_family

#: Of colours from 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def sam2(*, weights: str, device: str = "cpu") -> PromptedNetwork:
    """Return SAM 2 or 2.1 with these weights, three masks a click; of a tracker the image part."""
    kinds = (("sam2", "Sam2Model"), ("sam2_video", "Sam2Model"))
    model = pretrained(kinds, weights, device)
    side = setting(model, "prompt_encoder_config.image_size")
    return PromptedNetwork(
        model, side=side, place=stretch_image, enlarge=unstretch, features=_features
    )


def stretch_image(image: UInt8[np.ndarray, "h w 3"], side: int) -> PlacedImage:
    """Return the image as a square of `side` pixels a side.

    Example:
        >>> placed = stretch_image(np.zeros((20, 40, 3), np.uint8), 64)
        >>> tuple(placed.pixels.shape), placed.inside_hw, placed.size_hw
        ((1, 3, 64, 64), (64, 64), (20, 40))
    """
    colours = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    if image.shape[:2] != (side, side):
        colours = functional.interpolate(colours, (side, side), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return PlacedImage((colours - mean) / std, (side, side), (image.shape[0], image.shape[1]))


def unstretch(logits: Float32[Tensor, "n r s"], seen: Seen, side: int) -> Float32[Tensor, "n h w"]:
    """Return maps of the square as maps of the image.

    Example:
        >>> seen = Seen(features={}, inside_hw=(64, 64), size_hw=(20, 40))
        >>> unstretch(torch.zeros(2, 16, 16), seen, 64).shape
        torch.Size([2, 20, 40])
    """
    return functional.interpolate(logits[:, None], seen.size_hw, mode="bilinear")[:, 0]


def _features(embeddings: object) -> Mapping[str, Tensor | Sequence[Tensor]]:
    return {"image_embeddings": cast("Sequence[Tensor]", embeddings)}


SAM2 = of_sam_family(sam2, pred_iou_thresh=0.8)
