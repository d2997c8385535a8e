"""TIFF files by tifffile: which pages there are, and pixels that PIL cannot read.

Plain grey and colour, deflated or as they are, and what PIL cannot read at all (16-bit channels in
planes, more than four channels, floating point of 64 bits) is read here. PIL reads the others:
palettes, inks, alpha, and the codecs that tifffile has not here (LZW, JPEG).
"""

import io
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tifffile
from jaxtyping import Shaped

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAXIMA = (281, 341)  # largest values of samples
_GREY, _RGB = 1, 2  # photometric interpretations
_CODECS = (1, 8, 32946)  # none, deflate
_SEPARATE = 2  # planar configuration
#: What tifffile raises of broken files, beside ValueError.
_BROKEN = (tifffile.TiffFileError, OSError, IndexError, KeyError, TypeError, zlib.error)


@dataclass(frozen=True)
class TiffPixels:
    """What a page stores: samples as they are, what it says is white, how it is turned (1 to 8).

    Example:
        >>> TiffPixels(np.zeros((2, 3), np.uint16), white=4095.0, orientation=1).white
        4095.0
    """

    samples: Shaped[np.ndarray, "h w *c"]
    white: float | None
    orientation: int


def is_tiff(encoded: bytes) -> bool:
    """Return whether a file is a TIFF, by its first bytes.

    Example:
        >>> is_tiff(b"GIF89a")
        False
    """
    return encoded[:4] in _SIGNATURES


def tiff_pages(encoded: bytes) -> list[int]:
    """Return where the pages of a TIFF stand in its chain of directories.

    Smaller copies of a page and masks of transparency are none. Raises ValueError for a chain that
    is broken, as that of a file that was cut off.

    Example:
        >>> file = io.BytesIO()
        >>> tifffile.imwrite(file, np.zeros((3, 4, 5), np.uint8), photometric="minisblack")
        >>> tiff_pages(file.getvalue())
        [0, 1, 2]
    """
    with _opened(encoded) as file:
        pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)]
        kind = file.tiff
        at = pages[-1].offset
        number = int.from_bytes(encoded[at : at + kind.tagnosize], _order(encoded))
        end = at + kind.tagnosize + number * kind.tagsize
        if any(encoded[end : end + kind.offsetsize]):
            raise ValueError(f"a broken TIFF (what follows page {len(pages)} is not there)")
        return [n for n, page in enumerate(pages) if not (page.is_reduced or page.is_mask)]


def is_for_tifffile(encoded: bytes, directory: int = 0) -> bool:
    """Return whether a page is read by tifffile: plain grey or colour, or what PIL cannot read.

    Of a file whose directories are broken, PIL says what is wrong.

    Example:
        >>> file = io.BytesIO()
        >>> tifffile.imwrite(file, np.zeros((4, 5), np.float64))
        >>> is_for_tifffile(file.getvalue())
        True
    """
    try:
        with _opened(encoded) as file:
            page = file.pages[directory]
    except ValueError:
        return False
    assert isinstance(page, tifffile.TiffPage)
    bits, channels = page.bitspersample, page.samplesperpixel
    in_planes = channels > 1 and page.planarconfig == _SEPARATE
    if channels > 4 or (in_planes and bits > 8) or bits > 32 or page.imagedepth > 1:
        return True
    is_plain = page.photometric in (_GREY, _RGB) and channels in (1, 3) and not page.extrasamples
    return is_plain and page.compression in _CODECS and bits in (8, 16, 32)


def _order(encoded: bytes) -> Literal["little", "big"]:
    return "little" if encoded.startswith(b"II") else "big"


def tiff_pixels(
    encoded: bytes, directory: int = 0, *, most_pixels: int = 144_000_000
) -> TiffPixels:
    """Return the pixels of a TIFF's page, given where it stands in the chain of directories.

    Raises ValueError for what cannot be read: a codec that is missing, no colours, broken data, and
    more than `most_pixels`.

    Example:
        >>> file = io.BytesIO()
        >>> planes = np.zeros((3, 4, 5), np.uint16)
        >>> tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate")
        >>> tiff_pixels(file.getvalue()).samples.shape
        (4, 5, 3)
    """
    with _opened(encoded) as file:
        page = file.pages[directory]
        assert isinstance(page, tifffile.TiffPage)
        channels = page.samplesperpixel
        if channels not in (1, 2) and page.photometric != _RGB:
            raise ValueError(
                f"a TIFF of {channels} channels that are not red, green and blue; save three of "
                "them as RGB"
            )
        if page.imagewidth * page.imagelength > most_pixels:
            raise ValueError(
                f"{page.imagelength} x {page.imagewidth} pixels; at most {most_pixels}"
            )
        if page.imagedepth > 1:
            raise ValueError(f"a TIFF of {page.imagedepth} planes in depth; save them as pages")
        samples = page.asarray()
        if channels > 1 and page.planarconfig == _SEPARATE:
            samples = np.moveaxis(samples, 0, -1)
        tags = {code: tag.value for code in _MAXIMA if (tag := page.tags.get(code)) is not None}
        turned = page.tags.get("Orientation")
    if channels > 1:
        samples = samples[..., :3] if channels > 2 else samples[..., 0]
    said = [float(one) for value in tags.values() for one in np.atleast_1d(value)]
    orientation = 1 if turned is None else int(turned.value)
    white = max(said) if said and max(said) > 255 else None
    return TiffPixels(samples, white, orientation if 1 <= orientation <= 8 else 1)


@contextmanager
def _opened(encoded: bytes) -> Iterator[tifffile.TiffFile]:
    """Give the file; what tifffile raises of broken ones is a ValueError, its log is not shown."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with tifffile.TiffFile(io.BytesIO(encoded)) as file:
            file.pages.useframes = False
            yield file
    except _BROKEN as error:
        raise ValueError(f"a broken TIFF ({error})") from None
    finally:
        logger.setLevel(level)
