import io

import numpy as np
import pytest
from PIL import Image

from maskspace.data.images import encode_png, image_size_hw
from maskspace.rgb import read_rgb

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)


def test_png_round_trips_and_never_varies() -> None:
    assert (read_rgb(encode_png(IMAGE)) == IMAGE).all()
    assert encode_png(IMAGE) == encode_png(IMAGE.copy())
    assert image_size_hw(encode_png(IMAGE), name="x") == (5, 9)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_the_size_is_that_of_the_turned_image(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, format=kind, exif=exif)
    encoded = buffer.getvalue()
    assert image_size_hw(encoded, name="x") == read_rgb(encoded).shape[:2]
    assert image_size_hw(encoded, name="x") == ((9, 5) if orientation > 4 else (5, 9))


def test_the_size_of_a_png_is_read_from_its_header() -> None:
    whole = encode_png(np.zeros((2000, 3000, 3), np.uint8))
    assert image_size_hw(whole[: len(whole) // 2], name="x") == (2000, 3000)


def test_what_is_no_image_is_one_line_with_its_name() -> None:
    for encoded in (b"", b"none", encode_png(IMAGE)[:20]):
        with pytest.raises(ValueError, match=r"^photo: cannot be read as an image"):
            image_size_hw(encoded, name="photo")
