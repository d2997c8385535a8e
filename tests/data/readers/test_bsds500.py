import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.readers.bsds500 import annotator_label_maps, read_bsds500
from maskspace.masks import decode, from_label_map


def test_every_annotators_masks_are_a_layer(assets: Path) -> None:
    root = assets / "bsds500"
    for sample in read_bsds500(str(root), seed=0, limit=2, split="val"):
        path = root / "val/images" / f"{sample.key}.jpg"
        maps = annotator_label_maps(path, root / "val/groundTruth", sample.size_hw)
        assert len(maps) >= 4 and {a.layer for a in sample.annotations} == set(maps)
        for layer, labels in maps.items():
            counts = [a.counts for a in sample.annotations if a.layer == layer]
            expected = from_label_map(labels)[1]
            assert (decode(counts, sample.size_hw) == expected).all()
            assert (expected.sum(axis=0) == 1).all()


def test_counts_are_those_of_the_manifest(assets: Path) -> None:
    root = assets / "bsds500"
    for split, expected in {"train": 1087, "val": 546}.items():
        source = read_bsds500(str(root), seed=0, limit=None, split=split)
        images = [(root / split / "images" / f"{key}.jpg") for key in source.keys]
        found = list((root / split / "groundTruth").glob("*.png"))
        assert len(found) == expected
        assert {p.name.rsplit("_a", 1)[0] for p in found} == {p.stem for p in images}


def test_source_splits_are_kept(assets: Path) -> None:
    source = read_bsds500(str(assets / "bsds500"), seed=0, limit=None)
    assert [source.splits.count(s) for s in ("train", "val", "test")] == [200, 100, 0]
    only = read_bsds500(str(assets / "bsds500"), seed=0, limit=5, split="val")
    assert set(only.splits) == {"val"} and len(only) == 5


def test_a_label_map_of_another_size_or_none_is_one_line(assets: Path, tmp_path: Path) -> None:
    for folder in ("images", "groundTruth"):
        (tmp_path / "train" / folder).mkdir(parents=True)
    photo = sorted((assets / "bsds500/train/images").glob("*.jpg"))[0]
    shutil.copy(photo, tmp_path / "train/images/1.jpg")
    with pytest.raises(ValueError, match=r"1_a0\.png: missing"):
        read_bsds500(str(tmp_path), seed=0, limit=None)[0]
    Image.fromarray(np.ones((4, 5), np.uint8)).save(tmp_path / "train/groundTruth/1_a0.png")
    with pytest.raises(ValueError, match=r"1_a0\.png: is \(4, 5\)"):
        read_bsds500(str(tmp_path), seed=0, limit=None)[0]


def test_unknown_splits_and_roots_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split 'dev' is unknown"):
        read_bsds500(str(tmp_path), seed=0, limit=None, split="dev")
    with pytest.raises(ValueError, match="correct the root or the split"):
        read_bsds500(str(tmp_path), seed=0, limit=None)
