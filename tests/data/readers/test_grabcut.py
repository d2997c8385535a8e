from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.grabcut import read_grabcut


def test_the_object_is_a_mask_and_the_band_is_ignored(assets: Path) -> None:
    root = assets / "grabcut_bsds_subset"
    source = read_grabcut(str(root), seed=0, limit=None)
    assert len(source) == 12
    bands = 0
    for sample in source:
        with Image.open(root / "boundary_GT" / f"{sample.key}.png") as opened:
            values = np.asarray(opened.convert("L"))
        arrays = dense(sample)
        assert (arrays.masks == (values == 255)[None]).all()
        assert (arrays.ignore == (values == 128)).all()
        assert arrays.ignore.mean() <= 0.015
        bands += bool(arrays.ignore.any())
    assert bands == 7


@pytest.mark.parametrize(
    ("values", "words"),
    [(64, "holds 64"), (0, "has no 255"), ([[[255, 0, 0]]], "a coloured image")],
)
def test_values_that_grabcut_has_not_are_one_line(
    tmp_path: Path, picture: Callable, values: object, words: str
) -> None:
    picture(tmp_path / "data_GT/a.jpg", np.zeros((4, 5, 3), np.uint8))
    shape = (4, 5, 3) if isinstance(values, list) else (4, 5)
    picture(tmp_path / "boundary_GT/a.bmp", np.broadcast_to(np.uint8(values), shape).copy())
    with pytest.raises(ValueError, match=rf"boundary_GT/a\.bmp: {words}"):
        read_grabcut(str(tmp_path), seed=0, limit=None)[0]


def test_lone_files_are_named(tmp_path: Path, picture: Callable) -> None:
    with pytest.raises(ValueError, match="correct the root"):
        read_grabcut(str(tmp_path), seed=0, limit=None)
    picture(tmp_path / "data_GT/a.jpg", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"data_GT/a\.jpg: no a in boundary_GT"):
        read_grabcut(str(tmp_path), seed=0, limit=None)
