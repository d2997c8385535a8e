"""Colours: images between bytes and floats, and changes to a whole batch on its device (kornia).

Crops, flips and turns are drawn together with the clicks and masks that they move (`data.crops`).
A change of colour moves nothing, and is cheaper on a GPU than on a loader's CPU. It depends on a
row's position alone: it is the same in any batch, rank, process or device.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int, UInt8
from kornia import enhance
from torch import Tensor

from maskspace.config import section
from maskspace.randomness import Use, generator


@section
class ColourJitter:
    """How far the colours of training images may be changed.

    Args:
        brightness: largest shift of values in [0, 1], >= 0.
        contrast: largest share by which contrast grows or shrinks, in [0, 1].
        saturation: largest share by which saturation grows or shrinks, in [0, 1].
        hue: largest turn of the hue in radians, in [0, pi].

    Example:
        >>> ColourJitter(brightness=0.1, contrast=0.2, saturation=0.2, hue=0.1).contrast
        0.2
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self) -> None:
        """Refuse values outside these ranges."""
        if not (0 <= self.contrast <= 1 and 0 <= self.saturation <= 1 and self.brightness >= 0):
            raise ValueError("contrast and saturation are in [0, 1], brightness at least 0")
        if not 0 <= self.hue <= np.pi:
            raise ValueError("hue is in [0, pi]")


def recolour(
    images: Float[Tensor, "b 3 h w"],
    positions: Int[Tensor, " b"],
    jitter: ColourJitter | None,
    *,
    seed: int,
) -> Float[Tensor, "b 3 h w"]:
    """Return images in [0, 1] with other colours, drawn by position in the order of training alone.

    Args:
        images: values in [0, 1].
        positions: position of each image in the order of training.
        jitter: the largest changes; None: nothing is changed.
        seed: seed of the drawing.

    Example:
        >>> images = torch.full((1, 3, 4, 4), 0.5)
        >>> jitter = ColourJitter(brightness=0.2, contrast=0.0, saturation=0.0, hue=0.0)
        >>> first = recolour(images, torch.tensor([7]), jitter, seed=0)
        >>> again = recolour(images.repeat(2, 1, 1, 1), torch.tensor([3, 7]), jitter, seed=0)[1:]
        >>> torch.equal(first, again)  # the position decides, not the batch
        True
    """
    if jitter is None:
        return images
    steps = (
        (jitter.brightness, 0.0, enhance.adjust_brightness),
        (jitter.contrast, 1.0, enhance.adjust_contrast),
        (jitter.saturation, 1.0, enhance.adjust_saturation),
        (jitter.hue, 0.0, enhance.adjust_hue),
    )
    signed = _drawn(positions, seed)
    for number, (largest, neutral, adjust) in enumerate(steps):
        if largest:
            amount = torch.from_numpy((neutral + largest * signed[:, number]).astype(np.float32))
            images = adjust(images, amount.to(images))
    return images.clamp(0, 1)


def _drawn(positions: Int[Tensor, " b"], seed: int) -> Float64[np.ndarray, "b 4"]:
    """Return numbers in [-1, 1): of each row four, for brightness, contrast, saturation and hue."""
    rows = [generator(Use.COLOUR, seed, position).random(4) for position in positions.tolist()]
    return 2 * np.array(rows).reshape(-1, 4) - 1


def to_float(image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "3 h w"]:
    """Return an image with values in [0, 1], channels first.

    Example:
        >>> to_float(np.full((2, 4, 3), 255, np.uint8)).shape
        (3, 2, 4)
    """
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / 255


def to_uint8(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image of values in [0, 1] as bytes, channels last.

    Example:
        >>> image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        >>> np.array_equal(to_uint8(torch.from_numpy(to_float(image))), image)
        True
    """
    return (image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
