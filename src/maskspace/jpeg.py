"""JPEG pixels by the fastest decoder that is installed, equal to PIL's to the last bit.

libjpeg-turbo is called directly (simplejpeg), with the slow, exact DCT and the smooth chroma that
PIL uses too. PIL's own way through its buffers and modes takes half as long again.
"""

import numpy as np
import simplejpeg
from jaxtyping import UInt8

#: How `EXIF` orientation 1 to 8 turns the stored pixels: transposed first, then flipped.
_TRANSPOSED, _FLIPPED_ROWS, _FLIPPED_COLUMNS = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)

_PIXELS, _APP1 = b"\xda", b"\xe1"
_NO_FRAMES = (b"\xc4", b"\xc8", b"\xcc")  # tables among the markers of frames


def decode_jpeg(
    encoded: bytes, *, least_hw: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "h w 3"] | None:
    """Return the stored pixels of a colour or grey JPEG; None for anything else.

    None is returned for CMYK, for other formats and for files with the slightest damage: read those
    in another way. The pixels are not turned by EXIF.

    Args:
        encoded: the bytes of the file.
        least_hw: rows and columns that are needed. The pixels are those of the smallest of 1/8,
            1/4, 1/2 and 1/1 of the stored size, rounded up, that has as many (default None: 1/1).

    Example:
        >>> encoded = simplejpeg.encode_jpeg(np.full((16, 24, 3), 200, np.uint8))
        >>> decode_jpeg(encoded).shape, decode_jpeg(encoded, least_hw=(4, 6)).shape
        ((16, 24, 3), (4, 6, 3))
        >>> decode_jpeg(b"no JPEG")
    """
    try:
        rows, columns, kind, _ = simplejpeg.decode_jpeg_header(encoded)
        size_hw = (int(rows), int(columns))
        if kind not in ("YCbCr", "Gray", "RGB"):
            return None
        height, width = _reduced(size_hw, least_hw or size_hw)
        return simplejpeg.decode_jpeg(encoded, min_height=height, min_width=width)
    except ValueError:
        return None


def _reduced(size_hw: tuple[int, int], least_hw: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size that is decoded by vector instructions and is large enough.

    libjpeg has all eighths, but those between take as long as the next larger one, or longer.
    """
    for part in (8, 4, 2):
        rows, columns = -(-size_hw[0] // part), -(-size_hw[1] // part)
        if rows >= least_hw[0] and columns >= least_hw[1]:
            return rows, columns
    return size_hw


def upright_size_hw(encoded: bytes) -> tuple[int, int] | None:
    """Return the stored size of a JPEG that holds nothing that could turn it; None for others.

    Only the segments before the pixels are looked at; EXIF and XMP are APP1 segments.

    Example:
        >>> upright_size_hw(simplejpeg.encode_jpeg(np.zeros((16, 24, 3), np.uint8)))
        (16, 24)
    """
    size, place = None, 2
    while encoded[place : place + 1] == b"\xff" and encoded.startswith(b"\xff\xd8\xff"):
        marker = encoded[place + 1 : place + 2]
        if marker == _PIXELS:
            return size
        if not b"\xc0" <= marker <= b"\xfe" or b"\xd0" <= marker <= b"\xd9" or marker == _APP1:
            return None
        if marker <= b"\xcf" and marker not in _NO_FRAMES:
            head = encoded[place + 5 : place + 9]
            size = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
        place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")
    return None


def turned(image: UInt8[np.ndarray, "r s 3"], orientation: object) -> UInt8[np.ndarray, "h w 3"]:
    """Return stored pixels turned as an EXIF orientation of 1 to 8 says; anything else is 1.

    Example:
        >>> turned(np.zeros((2, 3, 3), np.uint8), 6).shape  # 6 is a quarter turn
        (3, 2, 3)
    """
    if orientation in _TRANSPOSED:
        image = image.transpose(1, 0, 2)
    if orientation in _FLIPPED_ROWS:
        image = image[::-1]
    if orientation in _FLIPPED_COLUMNS:
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
