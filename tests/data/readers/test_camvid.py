from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.annotations import refine
from maskspace.data.dense import dense
from maskspace.data.readers.camvid import read_camvid
from maskspace.masks import decode


def test_counts_are_those_of_the_manifest(assets: Path) -> None:
    source = read_camvid(str(assets / "camvid"), seed=0, limit=None)
    assert [source.splits.count(s) for s in ("train", "val", "test")] == [367, 101, 0]
    assert set(read_camvid(str(assets / "camvid"), seed=0, limit=3, split="val").splits) == {"val"}


def test_each_class_is_a_mask_and_void_is_ignored(assets: Path) -> None:
    for sample in read_camvid(str(assets / "camvid"), seed=0, limit=3):
        with Image.open(assets / "camvid/trainannot" / f"{sample.key}.png") as opened:
            classes = np.asarray(opened)
        arrays = dense(sample)
        shown = [value for value in range(11) if (classes == value).any()]
        assert (arrays.masks == np.stack([classes == value for value in shown])).all()
        assert (arrays.ignore == (classes == 11)).all()


def test_the_shards_stage_splits_classes_in_components(assets: Path) -> None:
    sample = read_camvid(str(assets / "camvid"), seed=0, limit=1)[0]
    split = refine(sample, split_components=True, min_component_area=1, containment=0.95)
    assert len(split.annotations) > len(sample.annotations)
    arrays = dense(split)
    assert (arrays.masks.sum(axis=0) + arrays.ignore == 1).all()


def test_a_class_that_camvid_has_not_or_no_label_map_is_one_line(
    tmp_path: Path, picture: Callable
) -> None:
    picture(tmp_path / "train/a.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"trainannot/a\.png: no such file"):
        read_camvid(str(tmp_path), seed=0, limit=None)[0]
    picture(tmp_path / "trainannot/a.png", np.full((4, 5), 12, np.uint8))
    with pytest.raises(ValueError, match=r"trainannot/a\.png: class 12"):
        read_camvid(str(tmp_path), seed=0, limit=None)[0]
    with pytest.raises(ValueError, match="correct the root"):
        read_camvid(str(tmp_path / "train"), seed=0, limit=None)


def test_every_mask_is_of_its_class_and_void_of_none(assets: Path) -> None:
    source = read_camvid(str(assets / "camvid"), seed=0, limit=1)
    assert [one.id for one in source.categories] == list(range(11))
    with Image.open(assets / "camvid/trainannot" / f"{source[0].key}.png") as opened:
        classes = np.asarray(opened)
    for one, mask in zip(
        source[0].annotations,
        decode([a.counts for a in source[0].annotations], source[0].size_hw),
        strict=True,
    ):
        assert set(classes[mask].tolist()) == {11 if one.category is None else one.category}
        assert one.ignore == (one.category is None)
    split = refine(source[0], split_components=True, min_component_area=1, containment=0.95)
    assert {one.category for one in split.annotations} == {
        one.category for one in source[0].annotations
    }
