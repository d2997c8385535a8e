"""Encoded images: their size without decoding them, and PNG bytes that never vary."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskspace.rgb import open_image, orientation

#: What a PNG holds if it may say how it is turned; PIL looks for it past all pixels.
_PNG_TURNED = (b"eXIf", b"exif", b"XML:com.adobe.xmp")


def image_size_hw(encoded: bytes, *, name: str, exif: bool = True) -> tuple[int, int]:
    """Return rows and columns after the EXIF rotation, read from the header alone.

    With `exif` False those as stored. Raises ValueError that starts with `name` for what is no
    image of at most MAX_PIXELS pixels.
    """
    with open_image(encoded, name=name) as image:
        width, height = image.size
        flipped = is_turned(image, encoded) if exif else _tiff_is_turned(image)
        return (width, height) if flipped else (height, width)


def is_turned(image: Image.Image, encoded: bytes) -> bool:
    """Return whether EXIF swaps rows and columns of what PIL opened; broken EXIF turns nothing."""
    if image.format == "TIFF":  # PIL has turned the size of these already
        return False
    if image.format == "PNG" and not any(mark in encoded for mark in _PNG_TURNED):
        return False
    return orientation(image) in (5, 6, 7, 8)


def _tiff_is_turned(image: Image.Image) -> bool:
    return image.format == "TIFF" and orientation(image) in (5, 6, 7, 8)


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return PNG bytes, the same for the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
