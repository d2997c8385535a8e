"""Any image as uint8 RGB: all formats that PIL knows, upright, checked before it is decoded.

PIL's pixels are kept to the last bit, except where it cuts 16 bits instead of rounding them.
"""

import io
import re
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from maskspace.jpeg import decode_jpeg, turned, upright_size_hw

#: The most pixels an image may have: a square of 12 000 a side.
MAX_PIXELS = 144_000_000

_ORIENTATION = 0x0112  # of EXIF

#: What PIL raises for files that are no whole image.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


def read_rgb(image: "np.ndarray | Image.Image | str | bytes") -> UInt8[np.ndarray, "h w 3"]:
    """Return any image as uint8 RGB: a path, encoded bytes, a PIL image, or an `h w [c]` array.

    EXIF rotation is applied, grey is repeated, alpha is dropped, 16 bits are scaled by 1/257 with
    rounding, and of several frames the first is taken. Raises ValueError for what is not an image
    of 8 or 16 bits and at most MAX_PIXELS, naming the file where there is one.
    """
    if isinstance(image, np.ndarray):
        return _array_to_rgb(image)
    if isinstance(image, Image.Image):
        return _pil_to_rgb(image)
    name = "image bytes" if isinstance(image, bytes) else str(image)
    encoded = image if isinstance(image, bytes) else _file_bytes(image)
    size_hw = upright_size_hw(encoded)  # PIL's own look at the header takes much longer
    if size_hw is not None and 0 < size_hw[0] * size_hw[1] <= MAX_PIXELS:
        quick = decode_jpeg(encoded)
        if quick is not None:
            return quick
    with open_image(encoded, name=name) as opened:
        try:
            quick = decode_jpeg(encoded) if opened.format == "JPEG" else None
            if quick is not None:
                return turned(quick, opened.getexif().get(_ORIENTATION, 1))
            return _pil_to_rgb(opened, encoded)
        except UNREADABLE as error:
            raise ValueError(f"{name}: cannot be read as an image ({error})") from None


def open_image(encoded: bytes, *, name: str) -> Image.Image:
    """Return an encoded image whose header alone is read, none of its pixels yet.

    Raises ValueError that starts with `name` for what is no image of 1 to MAX_PIXELS pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our limit is below
            image = Image.open(io.BytesIO(encoded))
    except UNREADABLE as error:
        reason = "unknown format" if "cannot identify" in str(error) else error
        raise ValueError(
            f"{name}: cannot be read as an image ({reason}); replace the file"
        ) from None
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(
            f"{name}: {height} x {width} pixels; an image has 1 to {MAX_PIXELS} pixels"
        )
    return image


def shrink_image(image: UInt8[np.ndarray, "h w 3"], *, max_side: int) -> UInt8[np.ndarray, "r s 3"]:
    """Return the image with no side above `max_side` pixels, averaged over what a pixel covers.

    The aspect is kept, except that no side falls below 32 pixels where the image has as many: at
    least min(pixels, 1024) pixels stay.
    """
    if max_side < 32:
        raise ValueError(f"max_side is at least 32 pixels; got {max_side}")
    scale = min(1.0, max_side / max(image.shape[:2]))
    height, width = (max(round(side * scale), min(side, 32)) for side in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def _file_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give the path of an image") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as an image ({error})") from None


def _pil_to_rgb(image: Image.Image, encoded: bytes | None = None) -> UInt8[np.ndarray, "h w 3"]:
    deep = _deep_colour(image, encoded) if encoded is not None else None
    if deep is not None:
        return deep
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return _array_to_rgb(np.asarray(image))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # PIL warns of the direct way
    return np.array(image.convert("RGB"))


def _deep_colour(image: Image.Image, encoded: bytes) -> UInt8[np.ndarray, "h w 3"] | None:
    """Return colour, or grey with alpha, of 16 bits, rounded; None for other images.

    PIL keeps the high bytes only. Unpacking the file a second time in the other byte order gives
    it the low ones.
    """
    tiles = getattr(image, "tile", [])  # none where it was not read from a file
    raw = [_raw_mode(tile.args) for tile in tiles]
    if raw == ["LA;16B"]:
        with Image.open(io.BytesIO(_as_four_channels(encoded))) as bytewise:
            four = np.asarray(ImageOps.exif_transpose(bytewise)).astype(np.uint16)
        return _array_to_rgb(256 * four[..., 0] + four[..., 1])
    if not raw or not all(re.fullmatch(r"[RGBAX]+;16[BLN]", one) for one in raw):
        if image.format == "TIFF" and image.mode == "RGB" and 16 in image.getexif().get(258, ()):
            raise ValueError("a 16-bit TIFF with a plane a channel; save it with pixels in one")
        return None
    native = "L" if sys.byteorder == "little" else "B"
    with Image.open(io.BytesIO(encoded)) as low:
        low.tile = [
            tile._replace(args=_other_order(tile.args, one, native))
            for tile, one in zip(low.tile, raw, strict=True)
        ]
        high_low = [
            np.asarray(ImageOps.exif_transpose(one)).astype(np.uint16)[..., :3]
            for one in (image, low)
        ]
    return _array_to_rgb(256 * high_low[0] + high_low[1])


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _other_order(args: object, raw: str, native: str) -> object:
    order = native if raw[-1] == "N" else raw[-1]
    other = f"{raw[:-1]}{'L' if order == 'B' else 'B'}"
    return (other, *args[1:]) if isinstance(args, tuple) else other


def _as_four_channels(png: bytes) -> bytes:
    """Return a PNG of two 16-bit channels as one of four 8-bit channels: the same bytes a pixel."""
    header = png[12:24] + b"\x08\x06" + png[26:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def _array_to_rgb(array: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(f"an image array is h w, h w 1, h w 3 or h w 4; got shape {array.shape}")
    if array.dtype.kind == "f":
        raise ValueError("floating point has no stated white; save the image with 8 or 16 bits")
    if array.dtype.kind in "iu" and array.dtype.itemsize in (2, 4):
        if array.min(initial=0) < 0 or array.max(initial=0) > 65535:
            raise ValueError("a 16-bit image has values in 0..65535; got values outside")
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"an image array is uint8 or uint16; got {array.dtype}")
    array = array[..., :3] if array.shape[2] == 4 else array
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    # torch warns of arrays that cannot be written to, such as PIL's
    return np.require(array, requirements=["C", "W"])
