import io
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

from maskspace.png import without_notes
from maskspace.rgb import read_rgb

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG", **options)
    return buffer.getvalue()


def with_chunk(png: bytes, name: bytes, content: bytes, *, broken: bool = False) -> bytes:
    checksum = zlib.crc32(name + content) ^ broken
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
    return png[:33] + chunk + png[33:]


def test_what_has_no_notes_is_returned_as_it_is() -> None:
    plain = encoded()
    assert without_notes(plain) is plain
    for content in (b"", b"none", plain[:20], plain[:-5]):
        assert without_notes(content) == content


def test_texts_profiles_and_what_follows_the_end_do_not_matter() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b" * (3 << 20), zip=True)
    text.add_itxt("c", "d" * (3 << 20), zip=True)
    whole = encoded(pnginfo=text, icc_profile=b"\0" * (3 << 20)) + b"trailing"
    for content in (
        whole,
        with_chunk(encoded(), b"tEXt", b"a\0b", broken=True),
        with_chunk(encoded(), b"iCCP", b"a\0\0none"),
        with_chunk(encoded(), b"eXIf", b"none"),
    ):
        np.testing.assert_array_equal(read_rgb(content), RGB)


def test_transparency_and_the_orientation_are_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    content = with_chunk(encoded(exif=exif, transparency=(1, 2, 3)), b"tEXt", b"a\0b")
    assert b"tRNS" in without_notes(content) and b"tEXt" not in without_notes(content)
    np.testing.assert_array_equal(read_rgb(content), RGB[::-1, ::-1])
