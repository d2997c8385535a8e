"""PNG files chunk by chunk: keep what pixels need, and drop notes that may be broken or huge."""

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: Beside the critical ones (upper case first): transparency, depth, EXIF, and later frames.
_NEEDED = (b"tRNS", b"sBIT", b"eXIf", b"acTL", b"fcTL", b"fdAT")
_XMP = b"XML:com.adobe.xmp\0"  # says how an image is turned, where EXIF does not
_MOST_XMP = 1 << 20


def without_notes(encoded: bytes) -> bytes:
    """Return a PNG without texts, colour profiles, and bytes after its end.

    PIL refuses texts and profiles of more than a megabyte, and those with a broken checksum, in
    files whose pixels are sound. Anything that is not a row of whole PNG chunks is returned
    unchanged.

    Example:
        >>> import io
        >>> from PIL import Image, PngImagePlugin
        >>> note, file = PngImagePlugin.PngInfo(), io.BytesIO()
        >>> note.add_text("Comment", "who drew it")
        >>> Image.new("L", (2, 2)).save(file, "png", pnginfo=note)
        >>> b"who drew it" in file.getvalue(), b"who drew it" in without_notes(file.getvalue())
        (True, False)
    """
    if not encoded.startswith(_SIGNATURE):
        return encoded
    pieces, place, begin = [], len(_SIGNATURE), 0
    while place + 12 <= len(encoded):
        end = place + 12 + int.from_bytes(encoded[place : place + 4], "big")
        kind = encoded[place + 4 : place + 8]
        if end > len(encoded):
            return encoded
        if not _is_needed(kind, encoded[place + 8 : min(end - 4, place + 8 + 64)], end - place):
            pieces.append(encoded[begin:place])
            begin = end
        place = end
        if kind == b"IEND":
            break
    else:
        return encoded
    if not pieces and place == len(encoded):
        return encoded
    return b"".join([*pieces, encoded[begin:place]])


def _is_needed(kind: bytes, beginning: bytes, size: int) -> bool:
    if kind[:1].isupper() or kind in _NEEDED:
        return True
    is_plain_xmp = beginning.startswith(_XMP) and beginning[len(_XMP) :][:1] == b"\0"
    return kind == b"iTXt" and is_plain_xmp and size <= _MOST_XMP


def as_four_channels(png: bytes) -> bytes:
    """Return a PNG of two 16-bit channels as one of four 8-bit channels.

    The bytes of a pixel stay the same, so that a reader of 8 bits gets all of them.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> def chunk(kind, body):
        ...     check = struct.pack(">I", zlib.crc32(kind + body))
        ...     return struct.pack(">I", len(body)) + kind + body + check
        >>> header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 4, 0, 0, 0))  # grey and alpha
        >>> pixel = chunk(b"IDAT", zlib.compress(bytes([0, 1, 2, 3, 4])))
        >>> png = _SIGNATURE + header + pixel + chunk(b"IEND", b"")
        >>> Image.open(io.BytesIO(as_four_channels(png))).getpixel((0, 0))
        (1, 2, 3, 4)
    """
    header = png[12:24] + b"\x08\x06" + png[26:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
