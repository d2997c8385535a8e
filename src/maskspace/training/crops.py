"""Crops of a mixture by position, and images between bytes and floats."""

import numpy as np
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from maskspace.data.augment import Crop, Crops, random_crop
from maskspace.data.loader import Mixture


def crop_at(
    mixture: Mixture, crops: Crops, *, seed: int, position: int, attempt: int = 0
) -> tuple[Crop, np.random.Generator]:
    """Return a crop of the sample at a position, and the generator of what else is random there."""
    generator = np.random.default_rng((seed, position, attempt))
    sample = mixture.at(position, seed=seed, attempt=attempt)
    return random_crop(sample, crops, generator), generator


def to_float(image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "3 h w"]:
    """Return an image with values in [0, 1], channels first."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / 255


def to_uint8(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image of values in [0, 1] as bytes, channels last."""
    return (image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
