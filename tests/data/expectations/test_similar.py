import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import data

from maskspace.data.expectations.similar import near_pairs, perceptual_hashes, thumbnail

PHOTOS = [getattr(data, name)() for name in ("astronaut", "cat", "coffee", "rocket")]


def hash_of(image: Image.Image) -> int:
    return int(perceptual_hashes(thumbnail(image)[None])[0])


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize("number", range(len(PHOTOS)))
def test_what_looks_the_same_has_nearly_the_same_hash(number: int) -> None:
    image = Image.fromarray(PHOTOS[number])
    small = image.resize((image.width // 2, image.height // 2))
    brighter = ImageEnhance.Brightness(image).enhance(1.1)
    for other in (jpeg(image, 60), small, brighter, image.convert("L")):
        assert (hash_of(image) ^ hash_of(other)).bit_count() <= 4


def test_different_photos_are_far_apart() -> None:
    hashes = [hash_of(Image.fromarray(photo)) for photo in PHOTOS]
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 12


@pytest.mark.parametrize("distance", [0, 1, 3, 6])
def test_near_pairs_are_those_of_the_loop_over_pairs(distance: int) -> None:
    rng = np.random.default_rng(distance)
    seeds = rng.integers(0, 2**64, 300, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 64, (300, 4)).astype(np.uint64), 1)
    hashes = np.unique(
        np.concatenate([seeds, seeds ^ flips, seeds ^ (flips & (flips - np.uint64(1)))])
    )
    first, second = near_pairs(hashes, distance=distance)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = np.argwhere(np.triu(apart <= distance, 1))
    np.testing.assert_array_equal(np.stack([first, second], axis=1), expected)


def test_a_crowd_of_look_alikes_stays_linear() -> None:
    hashes = np.arange(20_000, dtype=np.uint64)
    first, _ = near_pairs(hashes, distance=2)
    assert len(first) < 20_000 * 1024


def test_no_hash_has_no_pair() -> None:
    first, second = near_pairs(np.zeros(0, np.uint64), distance=3)
    assert len(first) == len(second) == 0
    assert len(perceptual_hashes(np.zeros((0, 32, 32)))) == 0
