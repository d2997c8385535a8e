import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from maskspace.jpeg import decode_jpeg, turned, upright_size_hw
from maskspace.rgb import read_rgb

RNG = np.random.default_rng(0)


def photo(height: int, width: int, *, grey: bool = False) -> Image.Image:
    image = Image.fromarray(RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return image.convert("L" if grey else "RGB").resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pil(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
    st.fixed_dictionaries(
        {
            "subsampling": st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
            "progressive": st.booleans(),
            "quality": st.sampled_from([5, 60, 100]),
        }
    ),
)
def test_pixels_are_pils_to_the_last_bit(height, width, grey, options):
    content = encoded(photo(height, width, grey=grey), **options)
    np.testing.assert_array_equal(decode_jpeg(content), by_pil(content))
    np.testing.assert_array_equal(read_rgb(content), by_pil(content))


@pytest.mark.parametrize("orientation", range(10))
def test_exif_turns_as_pil_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photo(20, 31), exif=exif)
    np.testing.assert_array_equal(read_rgb(content), by_pil(content))
    np.testing.assert_array_equal(turned(decode_jpeg(content), orientation), by_pil(content))


def test_what_is_not_plain_is_left_to_others():
    whole = encoded(photo(64, 64), quality=95)
    inks = encoded(photo(8, 8).convert("CMYK"))
    for content in (b"", b"none", whole[:100], whole[:-200], inks):
        assert decode_jpeg(content) is None
    assert read_rgb(inks).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="cannot be read"):
        read_rgb(whole[:-200])


def test_only_a_jpeg_that_nothing_can_turn_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, described = encoded(photo(20, 31), comment=b"c" * 300), encoded(photo(20, 31), exif=exif)
    assert upright_size_hw(plain) == (20, 31)
    assert upright_size_hw(described) is None
    assert upright_size_hw(encoded(photo(5, 8), progressive=True)) == (5, 8)
    for cut in range(0, 600, 7):
        assert upright_size_hw(plain[:cut]) in (None, (20, 31))
    assert upright_size_hw(b"") is None and upright_size_hw(b"GIF89a") is None


def test_a_jpeg_above_the_limit_is_refused_from_its_header():
    content = bytearray(encoded(photo(20, 31)))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = b"\x32\xc8\x32\xc8"
    with pytest.raises(ValueError, match="13000 x 13000 pixels"):
        read_rgb(bytes(content))


@given(st.integers(8, 90), st.integers(8, 90), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=40, deadline=None)
def test_a_reduced_size_is_the_smallest_that_is_large_enough(height, width, least, other):
    content = encoded(photo(height, width))
    sizes = [(-(-height // part), -(-width // part)) for part in (8, 4, 2, 1)]
    enough = [size for size in sizes if size[0] >= least and size[1] >= other]
    found = decode_jpeg(content, least_hw=(least, other)).shape[:2]
    assert found == (enough[0] if enough else (height, width))


def test_real_photos_are_pils(assets):
    paths = sorted(assets.glob("**/*.jpg"))
    for path in paths[:: max(1, len(paths) // 40)]:
        content = path.read_bytes()
        np.testing.assert_array_equal(read_rgb(content), by_pil(content))
