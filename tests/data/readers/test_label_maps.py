import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.readers.label_maps import binary_mask, label_map, read_label_map

RNG = np.random.default_rng(0)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_grey_of_8_and_16_bits_and_palettes_keep_their_numbers(tmp_path: Path) -> None:
    small = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
    large = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
    palette = Image.fromarray(small)
    palette.putpalette(RNG.permutation(768) // 3)
    for kind in ("PNG", "TIFF"):
        for image, labels in (
            (Image.fromarray(small), small),
            (Image.fromarray(large), large),
            (palette, small),
        ):
            (tmp_path / "a.png").write_bytes(encoded(image, kind))
            found = read_label_map(tmp_path / "a.png", (5, 7), coding="index")
            assert found.dtype == np.int64 and (found == labels).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_stretched(bits: int) -> None:
    labels = RNG.integers(0, 2**bits, (5, 9), dtype=np.uint8)
    assert (label_map(png_of_bits(labels, bits), name="x") == labels).all()


def test_colour_codes_the_id_as_coco_panoptic_does() -> None:
    ids = RNG.integers(0, 1 << 24, (5, 7))
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    opaque = np.dstack([colours, np.full((5, 7), 255, np.uint8)])
    for array in (colours, opaque):
        assert (label_map(encoded(Image.fromarray(array)), name="x") == ids).all()
    with pytest.raises(ValueError, match=r"^x: is transparent in places"):
        label_map(encoded(Image.fromarray(np.dstack([colours, colours[..., 0]]))), name="x")


def test_what_cannot_hold_labels_is_one_line() -> None:
    photo = Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    real = Image.fromarray(RNG.random((8, 8)).astype(np.float32))
    for content, words in (
        (encoded(photo, "JPEG"), "JPEG does not keep labels"),
        (encoded(real, "TIFF"), "floating point"),
        (encoded(photo)[:90], "cannot be decoded"),
        (b"", "cannot be read as an image"),
    ):
        with pytest.raises(ValueError, match=f"^x: .*{words}") as error:
            label_map(content, name="x")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^x: is \(8, 8\), its image is \(8, 9\)"):
        label_map(encoded(photo), name="x", size_hw=(8, 9))


@pytest.mark.parametrize("high", [1, 255, 65535])
def test_a_mask_is_above_half_of_its_largest_value(high: int) -> None:
    mask = RNG.random((6, 9)) < 0.5
    values = (mask * high).astype(np.uint8 if high < 256 else np.uint16)
    assert (binary_mask(encoded(Image.fromarray(values)), name="x") == mask).all()
    assert not binary_mask(encoded(Image.fromarray(values * 0)), name="x").any()


def test_a_jpeg_mask_is_cut_at_half_of_white() -> None:
    mask = np.zeros((32, 32), bool)
    mask[8:24, 4:20] = True
    grey = Image.fromarray((mask * 255).astype(np.uint8))
    for image in (grey, grey.convert("RGB")):
        assert (binary_mask(encoded(image, "JPEG", quality=80), name="x") == mask).all()
    black = Image.fromarray(np.zeros((32, 32), np.uint8))
    assert not binary_mask(encoded(black, "JPEG"), name="x").any()
    dark = Image.fromarray(RNG.integers(0, 9, (32, 32), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"^x: values up to \d+; a mask is 255 inside"):
        binary_mask(encoded(dark, "JPEG"), name="x")


def png_of_bits(labels: np.ndarray, bits: int) -> bytes:
    """Return a grey PNG written by hand: PIL writes none of 2 or 4 bits."""
    import struct
    import zlib

    places = (labels[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(places.reshape(len(labels), -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    height, width = labels.shape
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
