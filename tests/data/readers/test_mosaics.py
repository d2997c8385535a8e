from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from maskspace.data.dense import dense
from maskspace.data.readers.mosaics import SMALLEST, read_mosaics


def test_regions_cover_the_image_without_overlap_and_are_connected(raw: Path) -> None:
    for sample in map(dense, read_mosaics(str(raw / "textures"), seed=0, limit=20)):
        assert (sample.masks.sum(axis=0) == 1).all()
        assert 3 <= len(sample.masks) <= 6
        for mask in sample.masks:
            assert ndimage.label(mask)[1] == 1
            assert mask.sum() >= SMALLEST * mask.size


def test_mean_colours_are_nearly_equal_and_textures_are_not_flat(raw: Path) -> None:
    source = read_mosaics(str(raw / "textures"), seed=0, limit=20, mean_jitter=0.0)
    for sample in map(dense, source):
        means = np.array([sample.image[mask].mean(axis=0) for mask in sample.masks])
        spread = np.array([sample.image[mask].std(axis=0).max() for mask in sample.masks])
        assert np.ptp(means, axis=0).max() < 6
        assert spread.min() > 5


def test_a_folder_without_textures_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no PNG or JPEG textures"):
        read_mosaics(str(tmp_path), seed=0, limit=1)
