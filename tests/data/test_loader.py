from dataclasses import replace

import numpy as np
import pytest

from maskspace.data.loader import dense
from maskspace.data.rectangles import read_rectangles

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
