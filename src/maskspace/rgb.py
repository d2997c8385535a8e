"""Any image as uint8 RGB: all formats that PIL knows, upright, checked before it is decoded.

Pixels equal PIL's to the last bit, except where PIL cuts 16 bits instead of rounding them. White is
the value that the file states, else the largest value of its type, else the option `white`.
"""

import io
import re
import struct
import sys
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from maskspace.jpeg import decode_jpeg, turned, upright_size_hw
from maskspace.png import as_four_channels, without_notes
from maskspace.tiff import is_for_tifffile, is_tiff, tiff_pages, tiff_pixels

#: The most pixels an image may have: a square of 12 000 a side.
MAX_PIXELS = 144_000_000

#: What is shown as white in an image of more than 8 bits: a value, its largest one (and its
#: smallest as black), or the values that a thousandth of the pixels are above and below.
White = int | float | Literal["minmax", "percentile"]

_ORIENTATION = 0x0112  # of EXIF
_BITS, _MAXIMA = 258, (281, 341)  # of TIFF: bits a sample, largest values
_INVERSE = {6: 8, 8: 6}  # of EXIF's orientations; the others undo themselves
_BLACK = 16  # an image whose values end below white / 16 is nearly black
_TAILS = 0.001

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


def read_rgb(
    image: "np.ndarray | Image.Image | str | bytes",
    *,
    white: White | None = None,
    exif: bool = True,
    page: int = 1,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return any image as uint8 RGB: a path, encoded bytes, a PIL image, or an `h w [c]` array.

    Grey is repeated; alpha and channels beyond three colours are dropped. Values of more than 8
    bits are scaled and rounded: 0 to 0 and white to 255.

    ValueError, naming the file if there is one, for anything but an image of at most MAX_PIXELS
    pixels, and for an image that would be nearly black because nothing says which value is white.

    Args:
        image: the image.
        white: the value that is white, "minmax" or "percentile" (see `White`). By default it is the
            one that a TIFF states (12 bits: 4095; its largest value), else 65535 for 16 bits and 1
            for floating point; other whole numbers count as 8 bits up to 255, else as 16.
        exif: whether pixels are turned as EXIF says (default True).
        page: page of a TIFF, or frame of a film, from 1 (default 1); smaller copies of a page in a
            TIFF do not count.

    Example:
        >>> int(read_rgb(np.full((1, 1), 1024, np.uint16), white=4095)[0, 0, 0])
        64
    """
    if isinstance(image, np.ndarray):
        return _array_to_rgb(image, white)
    if isinstance(image, Image.Image):
        return _pil_to_rgb(image, None, white, exif)
    name = "image bytes" if isinstance(image, bytes) else str(image)
    encoded = image if isinstance(image, bytes) else _file_bytes(image)
    size_hw = upright_size_hw(encoded)  # PIL's own look at the header takes much longer
    if size_hw is not None and 0 < size_hw[0] * size_hw[1] <= MAX_PIXELS:
        quick = decode_jpeg(encoded)
        if quick is not None:
            return quick
    encoded = without_notes(encoded)
    directory = _directory(encoded, page, name=name)
    if is_tiff(encoded) and is_for_tifffile(encoded, directory):
        return _tiff_to_rgb(encoded, directory, white, exif, name=name)
    with open_image(encoded, name=name) as opened:
        try:
            _turn_to(opened, directory)
            quick = decode_jpeg(encoded) if opened.format == "JPEG" else None
            if quick is not None:
                return turned(quick, orientation(opened) if exif else 1)
            return _pil_to_rgb(opened, encoded, white, exif)
        except EOFError:
            raise ValueError(f"{name}: has no page {page}") from None
        except UNREADABLE as error:
            raise ValueError(f"{name}: cannot be read as an image ({error})") from None


def pages(encoded: bytes) -> int:
    """Return how many pages a TIFF has, or frames a film; 1 of all other images.

    Raises ValueError for a TIFF whose pages are broken.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> Image.new("L", (4, 2)).save(file, "gif")
        >>> pages(file.getvalue())
        1
    """
    if is_tiff(encoded):
        return len(tiff_pages(encoded))
    with open_image(encoded, name="image bytes") as image:
        films = ("GIF", "WEBP", "PNG")
        return getattr(image, "n_frames", 1) if image.format in films else 1


def _directory(encoded: bytes, page: int, *, name: str) -> int:
    """Return where a page stands among all that a file has."""
    if page < 1:
        raise ValueError(f"{name}: pages are counted from 1; got {page}")
    if not is_tiff(encoded):
        return page - 1
    try:
        there = tiff_pages(encoded)
    except ValueError as error:
        if page == 1:  # PIL may read it all the same
            return 0
        raise ValueError(f"{name}: cannot be read as an image ({error})") from None
    if page == 1 and not there:
        return 0
    if page > len(there):
        raise ValueError(f"{name}: has {len(there)} pages; got page {page}")
    return there[page - 1]


def _turn_to(image: Image.Image, directory: int) -> None:
    """Go to a page of an opened image, whose size is checked as that of the first."""
    if directory == 0:
        return
    image.seek(directory)
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{height} x {width} pixels; an image has 1 to {MAX_PIXELS} pixels")


def _tiff_to_rgb(
    encoded: bytes, directory: int, white: White | None, exif: bool, *, name: str
) -> UInt8[np.ndarray, "h w 3"]:
    try:
        found = tiff_pixels(encoded, directory, most_pixels=MAX_PIXELS)
        pixels = _array_to_rgb(found.samples, found.white if white is None else white)
    except UNREADABLE as error:
        raise ValueError(f"{name}: cannot be read as an image ({error})") from None
    return turned(pixels, found.orientation if exif else 1)


def open_image(encoded: bytes, *, name: str) -> Image.Image:
    """Return an encoded image of which only the header is read, no pixels yet.

    Notes that pixels do not need, which may be broken or huge, are skipped. ValueError that starts
    with `name` for anything but an image of 1 to MAX_PIXELS pixels.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (4, 2)).save(file, "png")
        >>> open_image(file.getvalue(), name="photo.png").size
        (4, 2)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our limit is below
            image = Image.open(io.BytesIO(without_notes(encoded)))
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


def orientation(image: Image.Image) -> int:
    """Return how EXIF turns an opened image, 1 to 8; 1 (upright) if EXIF is broken or absent.

    That of a PNG is known once the image is loaded.

    Example:
        >>> orientation(Image.new("RGB", (4, 2)))
        1
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF, which no viewer minds
            turn = image.getexif().get(_ORIENTATION, 1)
    except UNREADABLE:
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def is_deep(image: Image.Image) -> bool:
    """Return whether an opened image has more than 8 bits a channel.

    Example:
        >>> is_deep(Image.new("I;16", (4, 2))), is_deep(Image.new("RGB", (4, 2)))
        (True, False)
    """
    deep = any(re.search(r";16|;12", _raw_mode(tile.args)) for tile in getattr(image, "tile", []))
    return deep or image.mode.startswith(("I", "F"))


def shrink_image(image: UInt8[np.ndarray, "h w 3"], *, max_side: int) -> UInt8[np.ndarray, "r s 3"]:
    """Return the image with no side above `max_side` pixels; pixels are averages.

    The aspect is kept, but no side becomes shorter than 32 pixels if the image has as many, so that
    at least min(pixels, 1024) pixels stay. ValueError for a `max_side` below 32.

    Example:
        >>> shrink_image(np.zeros((100, 200, 3), np.uint8), max_side=100).shape
        (50, 100, 3)
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


def _pil_to_rgb(
    image: Image.Image, encoded: bytes | None, white: White | None, exif: bool
) -> UInt8[np.ndarray, "h w 3"]:
    stated = _stated_white(image) if white is None else white
    before = orientation(image) if image.format == "TIFF" else 1
    deep = _deep_colour(image, encoded) if encoded is not None else None
    if deep is not None:
        pixels = _array_to_rgb(deep, stated)
    elif image.mode.startswith(("I", "F")):
        pixels = _array_to_rgb(np.asarray(image), stated)
    else:
        if image.mode == "P" and "transparency" in image.info:
            image.load()
            pixels = np.array(image.convert("RGBA").convert("RGB"))  # PIL warns of the direct way
        else:
            pixels = np.array(image.convert("RGB"))
    if image.format == "TIFF":  # PIL turns these by itself
        return pixels if exif else turned(pixels, _INVERSE.get(before, before))
    return turned(pixels, orientation(image) if exif else 1)


def _stated_white(image: Image.Image) -> float | None:
    """Return the largest value that a TIFF says its samples have, or None."""
    if image.format != "TIFF":
        return None
    tags = getattr(image, "tag_v2", {})
    values = [float(value) for tag in _MAXIMA for value in np.atleast_1d(tags.get(tag, ()))]
    if 12 in np.atleast_1d(tags.get(_BITS, ())):
        values.append(4095.0)
    return max(values) if values and max(values) > 255 else None


def _deep_colour(image: Image.Image, encoded: bytes) -> Shaped[np.ndarray, "h w *c"] | None:
    """Return colour, or grey with alpha, of 16 bits, as it is stored; None for other images.

    PIL keeps the high bytes only. Unpacking the file a second time in the other byte order gives
    it the low ones.
    """
    tiles = getattr(image, "tile", [])  # none where it was not read from a file
    raw = [_raw_mode(tile.args) for tile in tiles]
    if raw == ["LA;16B"]:
        with Image.open(io.BytesIO(as_four_channels(encoded))) as bytewise:
            four = np.asarray(bytewise).astype(np.uint16)
        image.load()  # what comes after the pixels says how they are turned
        return 256 * four[..., 0] + four[..., 1]
    if not raw or not all(re.fullmatch(r"[RGBAX]+;16[BLN]", one) for one in raw):
        return None
    native = "L" if sys.byteorder == "little" else "B"
    with Image.open(io.BytesIO(encoded)) as low:
        low.seek(image.tell())
        low.tile = [
            tile._replace(args=_other_order(tile.args, one, native))
            for tile, one in zip(low.tile, raw, strict=True)
        ]
        high_low = [np.asarray(one).astype(np.uint16)[..., :3] for one in (image, low)]
    return 256 * high_low[0] + high_low[1]


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _other_order(args: object, raw: str, native: str) -> object:
    order = native if raw[-1] == "N" else raw[-1]
    other = f"{raw[:-1]}{'L' if order == 'B' else 'B'}"
    return (other, *args[1:]) if isinstance(args, tuple) else other


def _array_to_rgb(array: np.ndarray, white: White | None) -> UInt8[np.ndarray, "h w 3"]:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(f"an image array is h w, h w 1, h w 3 or h w 4; got shape {array.shape}")
    array = array[..., :3] if array.shape[2] == 4 else array
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"an image array holds numbers; got {array.dtype}")
    if array.dtype != np.uint8:
        array = _scaled(array, white)
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    # torch warns of arrays that cannot be written to, such as PIL's
    return np.require(array, requirements=["C", "W"])


def _scaled(array: Shaped[np.ndarray, "h w c"], white: White | None) -> UInt8[np.ndarray, "h w c"]:
    """Return values of more than 8 bits with black at 0 and white at 255, rounded."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("floating point that is not finite; replace what is NaN or infinite")
    black, top = _range(array, white)
    if array.dtype == np.uint16 and (black, top) == (0, 65535):
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    shown = np.empty(array.shape, np.uint8)
    step = max(1, 2**20 // max(1, array.shape[1]))
    for begin in range(0, len(array), step):  # a float64 copy of all of it may not fit
        part = array[begin : begin + step].astype(np.float64) - black
        shown[begin : begin + step] = np.rint(np.clip(part / (top - black), 0, 1) * 255)
    return shown


def _range(array: np.ndarray, white: White | None) -> tuple[float, float]:
    """Return the values that become 0 and 255; ValueError where nothing says which they are."""
    if array.size == 0:
        return 0.0, 1.0
    if white == "percentile":
        low, high = np.quantile(array, (_TAILS, 1 - _TAILS))
        return float(low), float(max(high, low + 1e-9))
    low, high = float(array.min()), float(array.max())
    if white == "minmax":
        return low, max(high, low + 1e-9)
    if low < 0:
        raise ValueError(f"an image has values of at least 0; got {low:g}; say white=minmax")
    if isinstance(white, int | float):
        if not white > 0:
            raise ValueError(f"white is a value above 0; got {white}")
        return 0.0, float(white)
    top = _white_of_type(array.dtype, high)
    if 0 < high <= top / _BLACK:
        raise ValueError(
            f"{array.dtype} values end at {high:g}: nearly black where {top:g} is white; say what "
            "is with the option white (255, 4095, 65535, minmax, percentile)"
        )
    return 0.0, top


def _white_of_type(kind: np.dtype, high: float) -> float:
    if kind.kind == "f":
        top = 1.0
    elif kind == np.uint16:
        top = 65535.0
    else:  # what arithmetic on pictures leaves
        top = 255.0 if high <= 255 else 65535.0
    if high > top:
        words = "floating point has white at 1" if kind.kind == "f" else "16 bits end at 65535"
        raise ValueError(f"{words}, values go up to {high:g}; say what is with the option white")
    return top
