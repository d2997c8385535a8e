"""Encoded images: their size without decoding them, and PNG bytes that never vary."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskspace.rgb import UNREADABLE, open_image

EXIF_ORIENTATION = 0x0112

#: What a PNG holds if it may say how it is turned; PIL looks for it past all pixels.
_PNG_TURNED = (b"eXIf", b"exif", b"XML:com.adobe.xmp")


def image_size_hw(encoded: bytes, *, name: str) -> tuple[int, int]:
    """Return rows and columns after the EXIF rotation, read from the header alone.

    Raises ValueError that starts with `name` for what is no image of at most MAX_PIXELS pixels.
    """
    with open_image(encoded, name=name) as image:
        width, height = image.size
        return (width, height) if _is_turned(image, encoded, name) else (height, width)


def _is_turned(image: Image.Image, encoded: bytes, name: str) -> bool:
    if image.format == "TIFF":  # PIL has turned the size of these already
        return False
    if image.format == "PNG" and not any(mark in encoded for mark in _PNG_TURNED):
        return False
    try:
        return image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    except UNREADABLE as error:
        raise ValueError(f"{name}: its EXIF cannot be read ({error}); replace the file") from None


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return PNG bytes, the same for the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
