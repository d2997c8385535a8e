import io

import numpy as np
import pytest
from PIL import Image

from maskspace.types import read_rgb, shrink_image

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
        np.zeros((4, 4), np.float32),
        np.full((4, 4), -1, np.int32),
    ],
)
def test_arrays_that_are_no_image_are_refused_in_one_line(bad):
    with pytest.raises(ValueError) as error:
        read_rgb(bad)
    assert "\n" not in str(error.value)


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
