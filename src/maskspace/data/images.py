"""Encoded images: their size without decoding them, and PNG bytes that never vary."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskspace.files import AnyPath, bounded_bytes
from maskspace.rgb import White, is_deep, open_image, orientation, read_rgb

#: The largest image file that is read.
MAX_FILE_BYTES = 1 << 30

#: What a PNG holds if it may say how it is turned; PIL looks for it past all pixels.
_PNG_TURNED = (b"eXIf", b"exif", b"XML:com.adobe.xmp")


@dataclass(frozen=True)
class SourceImage:
    """An image of a source.

    encoded: its bytes.
    extension: their format.
    size_hw: height and width after the EXIF rotation.
    is_turned: whether EXIF swaps rows and columns.

    Example:
        >>> SourceImage(b"...", "jpg", size_hw=(480, 640), is_turned=False).size_hw
        (480, 640)
    """

    encoded: bytes
    extension: str
    size_hw: tuple[int, int]
    is_turned: bool


def read_image(path: AnyPath, *, exif: bool = True, white: White | None = None) -> SourceImage:
    """Return the image in a file; its bytes are unchanged unless an option asks for a change.

    Args:
        path: the file.
        exif: False takes the image as it is stored; if EXIF turns it, it becomes a PNG
            (default True).
        white: the value that is white in an image of more than 8 bits, see `read_rgb`; such an
            image becomes a PNG of 8 bits (default None).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "a.png")
        >>> _ = path.write_bytes(encode_png(np.zeros((2, 3, 3), np.uint8)))
        >>> read_image(path).size_hw
        (2, 3)
    """
    encoded = bounded_bytes(path, limit=MAX_FILE_BYTES)
    return source_image(encoded, path.suffix, name=str(path), exif=exif, white=white)


def source_image(
    encoded: bytes, suffix: str, *, name: str, exif: bool = True, white: White | None = None
) -> SourceImage:
    """Return an encoded image whose file has this suffix, as `read_image` does.

    Example:
        >>> encoded = encode_png(np.zeros((2, 3, 3), np.uint8))
        >>> image = source_image(encoded, ".PNG", name="a.PNG")
        >>> image.extension, image.encoded == encoded
        ('png', True)
    """
    with open_image(encoded, name=name) as image:
        width, height = image.size
        deep, turns = is_deep(image), is_turned(image, encoded)
        redrawn = not exif and orientation(image) != 1
    if redrawn or (white is not None and deep):
        try:
            pixels = read_rgb(encoded, white=white, exif=exif)
        except ValueError as error:
            raise ValueError(f"{name}: {str(error).removeprefix('image bytes: ')}") from None
        return SourceImage(encode_png(pixels), "png", (pixels.shape[0], pixels.shape[1]), False)
    upright_hw = (width, height) if turns else (height, width)
    return SourceImage(encoded, suffix[1:].lower(), upright_hw, turns)


def image_size_hw(encoded: bytes, *, name: str) -> tuple[int, int]:
    """Return rows and columns after the EXIF rotation, read from the header alone.

    ValueError that starts with `name` for anything but an image of at most MAX_PIXELS pixels.

    Example:
        >>> image_size_hw(encode_png(np.zeros((2, 3, 3), np.uint8)), name="a.png")
        (2, 3)
    """
    with open_image(encoded, name=name) as image:
        width, height = image.size
        return (width, height) if is_turned(image, encoded) else (height, width)


def is_turned(image: Image.Image, encoded: bytes) -> bool:
    """Return whether EXIF swaps rows and columns of an opened image; broken EXIF does not.

    Example:
        >>> encoded = encode_png(np.zeros((2, 3, 3), np.uint8))
        >>> with open_image(encoded, name="a.png") as image:
        ...     is_turned(image, encoded)
        False
    """
    if image.format == "TIFF":  # PIL has turned the size of these already
        return False
    if image.format == "PNG" and not any(mark in encoded for mark in _PNG_TURNED):
        return False
    return orientation(image) in (5, 6, 7, 8)


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return PNG bytes; the same pixels give the same bytes.

    Example:
        >>> image = np.full((2, 3, 3), 7, np.uint8)
        >>> (read_rgb(encode_png(image)) == image).all().item()
        True
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
