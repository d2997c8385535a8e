from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from maskspace.data import READERS
from maskspace.data.loader import Mixture, dense, dense_reduced
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
    with pytest.raises(ValueError, match=r"rectangles-000000: .*run lengths cover"):
        dense(replace(SAMPLE, size_hw=(64, 65)))
    with pytest.raises(ValueError, match=r"rectangles-000000: the image is \(64, 64\)"):
        dense(replace(SAMPLE, size_hw=(64, 65), annotations=()))
    with pytest.raises(ValueError, match="rectangles-000000: image bytes"):
        dense(replace(SAMPLE, image=b"none"))
    assert np.issubdtype(dense(SAMPLE).scores.dtype, np.float32)


def test_a_reduced_sample_is_the_same_picture_and_masks_at_a_fraction_of_the_size(assets):
    sample = READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=1)[0]
    whole, small = dense(sample), dense_reduced(sample, least_side=100)
    height, width = whole.image.shape[:2]
    rows, columns = small.image.shape[:2]
    assert 100 <= min(rows, columns) < 100 + min(height, width) / 8 + 1
    shrunk = Image.fromarray(whole.image).resize((columns, rows), Image.Resampling.BOX)
    assert np.abs(np.asarray(shrunk).astype(float) - small.image).mean() < 8
    scale = rows * columns / (height * width)
    large = whole.masks.sum((1, 2)) > 2000
    share = small.masks.sum((1, 2))[large] / (whole.masks.sum((1, 2))[large] * scale)
    assert (np.abs(share - 1) < 0.1).all()
    assert list(small.ids) == list(whole.ids) and small.ignore.shape == (rows, columns)


def test_what_cannot_be_reduced_comes_whole():
    whole, same = dense(SAMPLE), dense_reduced(SAMPLE, least_side=8)  # a PNG
    np.testing.assert_array_equal(whole.image, same.image)
    np.testing.assert_array_equal(whole.masks, same.masks)


class Counted(list):
    """Samples that say which of them were read; those at `corrupt` cannot be."""

    def __init__(self, samples, corrupt=()):
        super().__init__(samples)
        self.read, self.corrupt = [], corrupt

    def __getitem__(self, index):
        self.read.append(index)
        if index in self.corrupt:
            raise ValueError(f"record {index} is broken")
        return super().__getitem__(index)


def counted(corrupt=(), number=12):
    samples = Counted([SAMPLE] * number, corrupt)
    return samples, Mixture(datasets={"one": samples}, weights={"one": 1.0}, keep_bytes=0)


def test_a_pass_reads_every_sample_once_and_the_next_one_in_another_order() -> None:
    samples, mixture = counted()
    for position in range(24):
        mixture.at(position, seed=0)
    first, second = samples.read[:12], samples.read[12:]
    assert sorted(first) == sorted(second) == list(range(12)) and first != second


def test_a_position_is_the_same_sample_whatever_was_read_before() -> None:
    samples, mixture = counted()
    for position in range(24):
        mixture.at(position, seed=0)
    forward = list(samples.read)
    again, other = counted()
    for position in reversed(range(24)):
        other.at(position, seed=0)
    assert again.read[::-1] == forward


def test_a_corrupt_record_is_named_once_and_replaced(caplog) -> None:
    samples, mixture = counted(corrupt=(3,))
    for position in range(36):
        assert mixture.at(position, seed=0).masks.size
    assert samples.read.count(3) >= 3
    assert [r.message for r in caplog.records] == ["skipped one[3]: record 3 is broken"]


def test_too_many_corrupt_records_stop_the_run() -> None:
    _, mixture = counted(corrupt=range(12))
    with pytest.raises(ValueError, match="validate the shards"):
        mixture.at(0, seed=0)
    _, few = counted(corrupt=(0, 1, 2))
    limited = replace(few, corrupt_limit=2)
    with pytest.raises(ValueError, match="limit is 2: validate the shards"):
        for position in range(12):
            limited.at(position, seed=0)
