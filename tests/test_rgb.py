import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskspace.rgb import open_image, pages, read_rgb, shrink_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_array_pil_bytes_and_path_are_the_same_image(tmp_path):
    image = Image.fromarray(RGB)
    (tmp_path / "a.png").write_bytes(encoded(image))
    for given in (RGB, image, encoded(image), str(tmp_path / "a.png")):
        read = read_rgb(given)
        np.testing.assert_array_equal(read, RGB)
        assert read.dtype == np.uint8
        assert read.flags.writeable


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(RGB),
    }[orientation]
    read = read_rgb(encoded(Image.fromarray(RGB), exif=exif))
    np.testing.assert_array_equal(read, upright)


def test_grey_is_repeated_and_alpha_dropped():
    grey = RGB[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    for given in (grey, grey[..., None], encoded(Image.fromarray(grey))):
        np.testing.assert_array_equal(read_rgb(given), expected)
    alpha = np.dstack([RGB, grey])
    for given in (alpha, encoded(Image.fromarray(alpha))):
        np.testing.assert_array_equal(read_rgb(given), RGB)


def test_16_bit_is_scaled_and_rounded():
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(deep / 257).astype(np.uint8)
    for given in (deep, encoded(Image.fromarray(deep))):
        np.testing.assert_array_equal(read_rgb(given)[..., 1], expected)


def test_palette_bilevel_and_cmyk_become_rgb():
    palette = Image.fromarray(RGB).quantize(8)
    np.testing.assert_array_equal(read_rgb(encoded(palette)), np.array(palette.convert("RGB")))
    bilevel = Image.fromarray(RGB).convert("1")
    np.testing.assert_array_equal(read_rgb(encoded(bilevel)), np.array(bilevel.convert("RGB")))
    cmyk = Image.fromarray(RGB).convert("CMYK")
    read = read_rgb(encoded(cmyk, "TIFF"))
    assert np.abs(read.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.full((4, 4), 2, np.float32),
        np.full((4, 4), np.nan),
        np.full((4, 4), 70000),
        np.full((4, 4), 200, np.uint16),
        np.full((4, 4), -1, np.int32),
    ],
)
def test_arrays_that_are_no_image_are_refused_in_one_line(bad):
    with pytest.raises(ValueError) as error:
        read_rgb(bad)
    assert "\n" not in str(error.value)


def png16(channels: np.ndarray, colour_type: int) -> bytes:
    """Return a 16-bit PNG with every filter, written by hand: PIL writes grey alone."""
    height, width, number = channels.shape
    rows = channels.astype(">u2").tobytes()
    step, wide = 2 * number, 2 * number * width
    lines = [
        np.frombuffer(rows[y * wide : (y + 1) * wide], np.uint8).astype(int) for y in range(height)
    ]
    raw = b""
    for y, line in enumerate(lines):
        left = np.concatenate([np.zeros(step, int), line[:-step]])
        up = lines[y - 1] if y else np.zeros(wide, int)
        kind = y % 3  # none, sub, up
        raw += bytes([kind]) + ((line - (0, left, up)[kind]) % 256).astype(np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


DEEP = np.random.default_rng(1).integers(0, 65536, (6, 8, 4), dtype=np.uint16)
ROUNDED = np.rint(DEEP / 257).astype(np.uint8)


@pytest.mark.parametrize(
    ("colour_type", "channels"), [(0, [0]), (2, [0, 1, 2]), (4, [0, 3]), (6, [0, 1, 2, 3])]
)
def test_16_bit_png_of_any_channels_is_rounded_not_cut(colour_type, channels):
    read = read_rgb(png16(DEEP[..., channels], colour_type))
    expected = ROUNDED[..., channels]
    expected = expected[..., :3] if len(channels) > 2 else np.repeat(expected[..., :1], 3, axis=2)
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}],
)
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_tiff_is_rounded_not_cut(options, channels):
    buffer = io.BytesIO()
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(buffer, DEEP[..., :channels], photometric="rgb", **extra, **options)
    np.testing.assert_array_equal(read_rgb(buffer.getvalue()), ROUNDED[..., :3])


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (DEEP[..., :3].transpose(2, 0, 1).copy(), {"planarconfig": "separate"}),
        (DEEP[..., [0, 1, 2, 0, 0]], {"extrasamples": ["unspecified"] * 2}),
        (DEEP[..., [0, 1, 2, 0, 0]], {"extrasamples": ["unspecified"] * 2, "bigtiff": True}),
        (DEEP[..., :3], {"tile": (16, 16)}),
    ],
)
def test_16_bit_tiff_in_planes_tiles_or_with_more_channels_is_rounded(samples, options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", **options)
    np.testing.assert_array_equal(read_rgb(buffer.getvalue()), ROUNDED[..., :3])


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (DEEP[..., 0].astype(np.float32), {}, "floating"),
        (DEEP[..., [0, 1, 2, 0, 0]], {"planarconfig": "contig"}, "5 channels that are not red"),
        (np.zeros((16, 16, 16), np.uint8), {"volumetric": True, "tile": (16, 16, 16)}, "in depth"),
    ],
)
def test_tiff_that_is_no_picture_is_refused_in_one_line(samples, options, words, capsys):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="minisblack", **options)
    with pytest.raises(ValueError, match=f"^image bytes: .*{words}") as error:
        read_rgb(buffer.getvalue())
    assert "\n" not in str(error.value) and not capsys.readouterr().err


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_page_is_read_by_its_number_and_smaller_copies_do_not_count(kind):
    buffer = io.BytesIO()
    stack = np.stack([DEEP[..., :3], DEEP[::-1, :, :3], DEEP[:, ::-1, :3]])
    stack = (stack >> 8).astype(kind) if kind == np.uint8 else stack
    with tifffile.TiffWriter(buffer) as file:
        for one in stack:
            file.write(one, photometric="rgb")
            file.write(one[::2, ::2].copy(), photometric="rgb", subfiletype=1)
    content = buffer.getvalue()
    assert pages(content) == 3
    for number, one in enumerate(stack, start=1):
        np.testing.assert_array_equal(read_rgb(content, page=number), read_rgb(one))
    for wrong, words in ((4, "has 3 pages; got page 4"), (0, "counted from 1")):
        with pytest.raises(ValueError, match=words):
            read_rgb(content, page=wrong)


def test_a_frame_of_a_film_is_read_by_its_number():
    frames = [Image.fromarray(np.full((8, 9, 3), value, np.uint8)) for value in (0, 90, 200)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pages(content) == 3 and pages(encoded(frames[0])) == 1
    assert [int(read_rgb(content, page=n)[0, 0, 0]) for n in (1, 2, 3)] == [0, 90, 200]
    with pytest.raises(ValueError, match="has no page 4"):
        read_rgb(content, page=4)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_tiff_whose_page_is_broken_is_one_line(page, capfd):
    buffer = io.BytesIO()
    stack = np.random.default_rng(0).integers(0, 256, (3, 20, 24), np.uint8)
    tifffile.imwrite(buffer, stack, photometric="minisblack", compression="zlib")
    content = bytearray(buffer.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        begin = file.pages[page - 1].dataoffsets[0]
        content[begin : begin + 40] = bytes(40)
        cut = bytes(content[: file.pages[2].offset])
    with pytest.raises(ValueError, match=r"^image bytes: cannot be read") as error:
        read_rgb(bytes(content), page=page)
    assert "\n" not in str(error.value) and not capfd.readouterr().err
    with pytest.raises(ValueError, match="broken TIFF"):
        pages(cut)


def test_transparency_in_palettes_and_grey_is_dropped():
    palette = Image.fromarray(RGB).quantize(8)
    opaque = read_rgb(encoded(palette))
    np.testing.assert_array_equal(read_rgb(encoded(palette, transparency=bytes(range(8)))), opaque)
    both = Image.merge("LA", [Image.fromarray(RGB[..., 0]), Image.fromarray(RGB[..., 1])])
    np.testing.assert_array_equal(read_rgb(encoded(both)), read_rgb(RGB[..., 0]))


def test_cmyk_jpeg_whose_inks_are_inverted_is_not_a_negative():
    smooth = np.add.outer(np.arange(32), np.arange(48))[..., None] * np.array([1, 2, 3])
    colours = np.clip(smooth, 0, 255).astype(np.uint8)
    read = read_rgb(encoded(Image.fromarray(colours).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(read.astype(int) - colours).mean() < 3


def test_ycck_jpeg_as_photoshop_writes_it_is_not_a_negative():
    smooth = np.add.outer(np.arange(32), np.arange(48))[..., None] * np.array([1, 2, 3])
    colours = np.clip(smooth, 0, 255).astype(np.uint8)
    # Photoshop's inks are inverted, so that Y, Cb and Cr are those of the negative
    stored = Image.fromarray(255 - colours).convert("YCbCr")
    planes = [255 - np.asarray(one) for one in stored.split()]  # PIL inverts what it writes
    image = Image.merge("CMYK", [Image.fromarray(one) for one in (*planes, planes[0] * 0)])
    content = encoded(image, "JPEG", quality=95, subsampling=0)
    place = content.index(b"Adobe") + 11
    assert content[place] == 0  # transform: none
    read = read_rgb(content[:place] + b"\x02" + content[place + 1 :])  # YCCK
    assert np.abs(read.astype(int) - colours).mean() < 3


def test_of_several_frames_the_first_is_read():
    frames = [Image.fromarray(np.roll(RGB, shift, axis=0)) for shift in range(3)]
    for kind in ("TIFF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_rgb(content), RGB)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 12000), (12000, 1)])
def test_sides_from_1_to_12000_are_read(size_hw):
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_rgb(encoded(Image.fromarray(image))), image)


def test_the_largest_square_is_opened_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(png_header(12000, 12000), name="x").size == (12000, 12000)


@pytest.mark.parametrize("size", [(12001, 12000), (60000, 60000), (2**31 - 1, 2**31 - 1), (0, 5)])
def test_bombs_are_refused_from_their_header(size):
    for read in (lambda content: open_image(content, name="image bytes"), read_rgb):
        with pytest.raises(ValueError, match=r"^image bytes: ") as error:
            read(png_header(*size))
        assert "\n" not in str(error.value)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(b"\0")
    chunks = (body, pixels, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks
    )


def test_broken_files_are_named_in_one_line(tmp_path):
    whole = encoded(Image.fromarray(np.tile(RGB, (40, 40, 1))), "JPEG")
    for name, content in {"cut.jpg": whole[: len(whole) // 3], "text.png": b"no image"}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=name) as error:
            read_rgb(str(path))
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"absent\.png: no such file"):
        read_rgb(str(tmp_path / "absent.png"))


def test_real_photos_are_read_as_pil_reads_them(assets):
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[0]
    np.testing.assert_array_equal(read_rgb(str(path)), np.array(Image.open(path).convert("RGB")))


def test_shrinking_keeps_means_aspect_and_small_images():
    image = np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8)
    small = shrink_image(image, max_side=64)
    assert small.shape == (32, 64, 3)
    np.testing.assert_allclose(small.mean(), image.mean(), atol=1)
    assert shrink_image(image, max_side=256) is image


#: Arrays whose white is stated by their type, and what they are of 8 bits.
STATED = {
    "bool": (np.array([[True, False]]), [255, 0]),
    "int16 of 8 bits": (np.array([[255, 100]], np.int16), [255, 100]),
    "int32 of 8 bits": (np.array([[255, 100]], np.int32), [255, 100]),
    "int64 of 16 bits": (np.array([[65535, 257]]), [255, 1]),
    "uint32 of 16 bits": (np.array([[65535, 514]], np.uint32), [255, 2]),
    "float": (np.array([[1.0, 0.5]]), [255, 128]),
    "float32": (np.array([[1.0, 0.2]], np.float32), [255, 51]),
    "black": (np.zeros((1, 2), np.uint16), [0, 0]),
}


@pytest.mark.parametrize("name", STATED)
def test_white_is_what_the_type_says(name):
    array, expected = STATED[name]
    assert read_rgb(array)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_white_is_what_the_option_says(bits):
    ramp = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16)[None]
    shown = read_rgb(ramp, white=2**bits - 1)[0, :, 0]
    np.testing.assert_allclose(shown, np.arange(256), atol=1)
    assert read_rgb(ramp, white="minmax")[0, [0, -1], 0].tolist() == [0, 255]
    if bits <= 12:
        with pytest.raises(ValueError, match="nearly black where 65535 is white"):
            read_rgb(ramp)


def test_white_is_what_a_tiff_says():
    ramp = np.linspace(0, 4095, 64).round().astype(np.uint16)[None].repeat(4, axis=0)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, ramp, extratags=[(281, "H", 1, 4095, True)])
    np.testing.assert_allclose(
        read_rgb(buffer.getvalue())[0, :, 0], np.linspace(0, 255, 64), atol=1
    )


def test_percentiles_leave_out_what_is_odd():
    array = np.full((100, 100), 500, np.uint16)
    array[:50], array[0, 0] = 100, 65535
    assert np.unique(read_rgb(array, white="percentile")).tolist() == [0, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_can_be_turned_off(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    flat = np.zeros((8, 16, 3), np.uint8)
    flat[:, 8:] = 255
    content = encoded(
        Image.fromarray(flat), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})
    )
    assert read_rgb(content).shape == (16, 8, 3)
    off = read_rgb(content, exif=False)
    assert off.shape == (8, 16, 3) and off[0, 0, 0] < 9 and off[0, -1, 0] > 246


def test_broken_exif_and_trailing_bytes_do_not_matter():
    content = encoded(Image.fromarray(np.tile(RGB, (8, 8, 1))), "JPEG", exif=b"Exif\0\0MM\0*broken")
    plain = encoded(Image.fromarray(np.tile(RGB, (8, 8, 1))), "JPEG")
    np.testing.assert_array_equal(read_rgb(content + b"more"), read_rgb(plain))
