"""SAM and SAM-HQ, by `transformers`.

Kirillov et al. 2023 (arXiv:2304.02643) and Ke et al. 2023 (arXiv:2306.01567). As in the authors'
code, Pillow brings the longer side of the image to that of the network's square by its bilinear
filter, colours are normalised, what is left of the square is 0; maps are brought to the square,
cropped, and brought to the image's size, bilinear each time.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from maskspace.peers.pretrained import pretrained, setting
from maskspace.peers.prompted import PlacedImage, PromptedNetwork, Seen
from maskspace.peers.sam_family import of_sam_family

#: Of colours from 0 to 255.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def sam(*, weights: str, device: str = "cpu") -> PromptedNetwork:
    """Return SAM with these weights, three masks a click."""
    model = pretrained((("sam", "SamModel"),), weights, device)
    side = setting(model, "prompt_encoder_config.image_size")
    return PromptedNetwork(model, side=side, place=pad, enlarge=crop, features=_sam_features)


def sam_hq(*, weights: str, device: str = "cpu") -> PromptedNetwork:
    """Return SAM-HQ with these weights, one mask a click.

    As in the authors' code it is SAM's of the largest predicted IoU plus that of the
    high-quality token. The library gives that sum for all three of SAM's, the largest first.
    """
    model = pretrained((("sam_hq", "SamHQModel"),), weights, device)
    side = setting(model, "prompt_encoder_config.image_size")
    return PromptedNetwork(
        model, side=side, place=pad, enlarge=crop, features=_sam_hq_features, num_masks=1
    )


def pad(image: UInt8[np.ndarray, "h w 3"], side: int) -> PlacedImage:
    """Return the image, its longer side at `side` pixels, at the top left of a square.

    Example:
        >>> placed = pad(np.zeros((20, 40, 3), np.uint8), 64)
        >>> tuple(placed.pixels.shape), placed.inside_hw, placed.size_hw
        ((1, 3, 64, 64), (32, 64), (20, 40))
    """
    size_hw = (image.shape[0], image.shape[1])
    scale = side / max(size_hw)
    rows, columns = (max(1, int(length * scale + 0.5)) for length in size_hw)
    resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
    colours = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    pixels = torch.zeros(1, 3, side, side)
    pixels[0, :, :rows, :columns] = (colours - mean) / std
    return PlacedImage(pixels, (rows, columns), size_hw)


def crop(logits: Float32[Tensor, "n r s"], seen: Seen, side: int) -> Float32[Tensor, "n h w"]:
    """Return maps of the square as maps of the image.

    Example:
        >>> seen = Seen(features={}, inside_hw=(32, 64), size_hw=(20, 40))
        >>> crop(torch.zeros(2, 16, 16), seen, 64).shape
        torch.Size([2, 20, 40])
    """
    rows, columns = seen.inside_hw
    square = functional.interpolate(logits[:, None], (side, side), mode="bilinear")
    inside = square[..., :rows, :columns]
    return functional.interpolate(inside, seen.size_hw, mode="bilinear")[:, 0]


def _sam_features(embeddings: object) -> Mapping[str, Tensor | Sequence[Tensor]]:
    return {"image_embeddings": cast("Tensor", embeddings)}


def _sam_hq_features(embeddings: object) -> Mapping[str, Tensor | Sequence[Tensor]]:
    last, of_blocks = cast("tuple[Tensor, Sequence[Tensor]]", embeddings)
    return {"image_embeddings": last, "intermediate_embeddings": of_blocks}


SAM, SAM_HQ = of_sam_family(sam), of_sam_family(sam_hq)
