from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.dsb2018 import read_dsb2018
from maskspace.masks import from_label_map


@pytest.mark.parametrize(("split", "images", "nuclei"), [("train", 280, 7939), ("val", 60, 1595)])
def test_counts_are_those_of_the_manifest(
    assets: Path, split: str, images: int, nuclei: int
) -> None:
    source = read_dsb2018(str(assets / "dsb2018"), seed=0, limit=None, split=split)
    assert len(source) == images and set(source.splits) == {split}
    assert sum(len(sample.annotations) for sample in source) == nuclei


def test_each_label_is_a_nucleus(assets: Path) -> None:
    for sample in read_dsb2018(str(assets / "dsb2018"), seed=0, limit=3):
        with Image.open(assets / "dsb2018/train/labels" / f"{sample.key}.png") as opened:
            labels = np.asarray(opened).astype(int)
        assert (dense(sample).masks == from_label_map(labels)[1]).all()


def test_kaggles_layout_has_a_file_a_nucleus(tmp_path: Path, picture: Callable) -> None:
    masks = np.zeros((3, 9, 12), np.uint8)
    masks[0, 1:4, 1:4], masks[1, 3:6, 3:9], masks[2, 7, 7:] = 255, 255, 255
    for name in ("b", "a"):
        picture(
            tmp_path / "stage1_train" / name / f"images/{name}.png", np.zeros((9, 12, 3), np.uint8)
        )
        for number, mask in enumerate(masks):
            picture(tmp_path / "stage1_train" / name / f"masks/{number}.png", mask)
    picture(tmp_path / "stage1_test/c/images/c.png", np.zeros((9, 12, 3), np.uint8))
    source = read_dsb2018(str(tmp_path), seed=0, limit=None)
    assert source.keys == ("a", "b") and source.splits == ("train", "train")
    assert (dense(source[1]).masks == (masks > 0)).all()
    assert source[0].source == "stage1_train/a/images/a.png"
    picture(tmp_path / "stage1_train/a/masks/3.png", masks[0] * 0)
    with pytest.raises(ValueError, match=r"masks/3\.png: marks no pixel"):
        source[0]


def test_wrong_roots_and_lone_images_are_one_line(tmp_path: Path, picture: Callable) -> None:
    with pytest.raises(ValueError, match="correct the root or the split"):
        read_dsb2018(str(tmp_path), seed=0, limit=None)
    picture(tmp_path / "train/images/a.png", np.zeros((9, 12, 3), np.uint8))
    with pytest.raises(ValueError, match=r"labels/a\.png: no such file"):
        read_dsb2018(str(tmp_path), seed=0, limit=None)[0]
    with pytest.raises(ValueError, match="split 'dev' is unknown"):
        read_dsb2018(str(tmp_path), seed=0, limit=None, split="dev")
