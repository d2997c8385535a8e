import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.config import Choice, choose
from maskspace.data import READERS
from maskspace.data.dense import dense
from maskspace.data.readers.hqseg44k import SUBSETS, read_hqseg44k


def test_sub_sets_come_in_the_order_of_the_papers_train_then_val(trees: Path) -> None:
    source = read_hqseg44k(str(trees / "hqseg44k"), seed=0, limit=None)
    assert len(source) == 2 * len(SUBSETS) == 22
    assert [sample.source.rsplit("/", 1)[0] for sample in source][::2] == [
        "DIS5K/DIS-TR/im",
        "thin_object_detection/ThinObject5K/images_train",
        "cascade_psp/fss_all",
        "cascade_psp/DUTS-TR",
        "cascade_psp/DUTS-TE",
        "cascade_psp/ecssd",
        "cascade_psp/MSRA_10K",
        "DIS5K/DIS-VD/im",
        "thin_object_detection/ThinObject5K/images_test",
        "thin_object_detection/COIFT/images",
        "thin_object_detection/HRSOD/images",
    ]
    assert list(source.splits) == ["train"] * 14 + ["val"] * 8


def test_every_grey_above_black_is_the_object(trees: Path) -> None:
    for sample in read_hqseg44k(str(trees / "hqseg44k"), seed=0, limit=None):
        (mask,) = dense(sample).masks
        assert mask[2:5, 1:3].all() and mask.sum() == 3 * len(np.flatnonzero(mask.any(axis=0)))


def test_a_split_or_some_sub_sets_are_parts_of_the_whole(trees: Path) -> None:
    root = str(trees / "hqseg44k")
    every = list(read_hqseg44k(root, seed=0, limit=None))
    val = list(read_hqseg44k(root, seed=0, limit=None, split="val"))
    thin = list(read_hqseg44k(root, seed=0, limit=None, subsets=("coift", "thin-train")))
    assert val == every[14:]
    assert thin == every[2:4] + every[18:20]
    assert read_hqseg44k(root, seed=0, limit=3).keys == tuple(s.key for s in every[:3])


def test_a_list_in_params_chooses_sub_sets(trees: Path) -> None:
    choice = Choice(name="hqseg44k", options={"subsets": ["coift"], "split": "val"})
    read = choose(READERS, choice, kind="reader")
    assert len(read(str(trees / "hqseg44k"), seed=0, limit=None)) == 2


def test_names_that_are_no_keys_stay_apart(trees: Path) -> None:
    keys = read_hqseg44k(str(trees / "hqseg44k"), seed=0, limit=2).keys
    assert keys[1] == "dis-train-b"
    assert keys[0].startswith("dis-train-2-Air-7-") and len(keys[0]) == 26


def test_all_missing_sub_sets_are_named_in_one_line(trees: Path, tmp_path: Path) -> None:
    for name in ("DIS5K", "cascade_psp"):
        shutil.copytree(trees / "hqseg44k" / name, tmp_path / name)
    with pytest.raises(ValueError, match=r"thin-train .*, thin-test .*, coift .*, hrsod ") as told:
        read_hqseg44k(str(tmp_path), seed=0, limit=None)
    assert "\n" not in str(told.value) and "ecssd" not in str(told.value)
    assert len(read_hqseg44k(str(tmp_path), seed=0, limit=None, subsets=("ecssd", "fss"))) == 4


def test_what_does_not_fit_is_one_line(trees: Path, tmp_path: Path) -> None:
    root = shutil.copytree(trees / "hqseg44k", tmp_path / "copy")
    with pytest.raises(ValueError, match="split 'dev' is unknown"):
        read_hqseg44k(str(root), seed=0, limit=None, split="dev")
    with pytest.raises(ValueError, match=r"subset 'cocos' is unknown; choose one of .*coift"):
        read_hqseg44k(str(root), seed=0, limit=None, subsets=("cocos",))
    with pytest.raises(ValueError, match="no images of the split val among"):
        read_hqseg44k(str(root), seed=0, limit=None, split="val", subsets=("fss",))
    with pytest.raises(ValueError, match="none: no such file or folder"):
        read_hqseg44k(str(tmp_path / "none"), seed=0, limit=None)
    mask = root / "cascade_psp/ecssd/b.png"
    for size, message in (
        ((4, 4), r"is \(4, 4\), its image is \(17, 10\)"),
        ((17, 10), "marks no"),
    ):
        Image.fromarray(np.zeros(size, np.uint8)).save(mask)
        with pytest.raises(ValueError, match=rf"ecssd/b\.png: {message}"):
            read_hqseg44k(str(root), seed=0, limit=None, subsets=("ecssd",))[1]
    mask.unlink()
    with pytest.raises(ValueError, match=r"ecssd/b\.jpg: no mask .*ecssd/b\.png"):
        read_hqseg44k(str(root), seed=0, limit=None, subsets=("ecssd",))
