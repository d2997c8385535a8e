from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from maskspace.data import READERS
from maskspace.data.dense import dense, read_pixels
from maskspace.data.readers.rectangles import read_rectangles

SAMPLE = read_rectangles("", seed=0, limit=1)[0]


def test_ignored_annotations_leave_the_masks_and_join_the_ignored_pixels() -> None:
    before = dense(SAMPLE)
    first, *rest = SAMPLE.annotations
    after = dense(replace(SAMPLE, annotations=(replace(first, ignore=True), *rest)))
    assert (after.masks == before.masks[1:]).all() and list(after.ids) == list(before.ids)[1:]
    assert (after.ignore == before.masks[0]).all() and not before.ignore.any()


def test_a_sample_without_masks_has_empty_arrays() -> None:
    arrays = dense(replace(SAMPLE, annotations=()))
    assert arrays.masks.shape == (0, 64, 64) and not arrays.ignore.any()


def test_what_does_not_fit_names_the_record() -> None:
    short = (replace(SAMPLE.annotations[0], counts="01"),)
    with pytest.raises(ValueError, match=r"rectangles-000000: .*run lengths cover"):
        dense(replace(SAMPLE, annotations=short))
    with pytest.raises(ValueError, match=r"rectangles-000000: the image is \(64, 64\)"):
        dense(replace(SAMPLE, size_hw=(64, 65), annotations=()))
    with pytest.raises(ValueError, match="rectangles-000000: image bytes"):
        dense(replace(SAMPLE, image=b"none"))
    assert np.issubdtype(dense(SAMPLE).scores.dtype, np.float32)


def test_an_image_is_no_smaller_than_is_needed_and_the_same_picture(assets):
    sample = READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=1)[0]
    whole = read_pixels(sample)
    height, width = whole.shape[:2]
    for part in (1, 2, 4, 8):
        least_hw = -(-height // part) - 1, -(-width // part) - 1
        small = read_pixels(sample, least_hw=least_hw)
        rows, columns = small.shape[:2]
        assert (rows, columns) == (-(-height // part), -(-width // part))
        rows, columns = height // part, width // part  # those that are of whole squares
        shrunk = Image.fromarray(whole[: rows * part, : columns * part]).reduce(part)
        assert np.abs(np.asarray(shrunk).astype(float) - small[:rows, :columns]).mean() < 2


def test_what_cannot_be_reduced_comes_whole():
    np.testing.assert_array_equal(read_pixels(SAMPLE), read_pixels(SAMPLE, least_hw=(8, 8)))


def test_a_reduced_photo_of_another_size_than_its_masks_is_refused(assets):
    sample = READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=1)[0]
    height, width = sample.size_hw
    with pytest.raises(ValueError, match=rf"{sample.key}: the image is"):
        read_pixels(replace(sample, size_hw=(height, width + 8)), least_hw=(8, 8))
