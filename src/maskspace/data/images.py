"""Encoded images: their size without decoding them, and PNG bytes that never vary."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

EXIF_ORIENTATION = 0x0112
MAX_PIXELS = 64_000_000


def image_size_hw(encoded: bytes, *, name: str) -> tuple[int, int]:
    """Return rows and columns after the EXIF rotation, read from the header alone.

    Raises ValueError that starts with `name` for what is not an image of at most 64 megapixels.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
            turned = image.getexif().get(EXIF_ORIENTATION, 1) >= 5
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "unknown format" if "cannot identify" in str(error) else error
        raise ValueError(f"{name}: not a readable image ({reason}); replace the file") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name}: {height} x {width} pixels; the limit is {MAX_PIXELS} pixels")
    return (width, height) if turned else (height, width)


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return PNG bytes, the same for the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
