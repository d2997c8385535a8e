import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.bsds500 import annotator_label_maps, read_bsds500
from maskspace.data.loader import dense
from maskspace.masks import from_label_map


def test_every_annotators_every_mask_is_there_once(assets: Path) -> None:
    root = assets / "bsds500"
    sample = read_bsds500(str(root), seed=0, limit=1, split="val")[0]
    maps = annotator_label_maps(root / "val/images" / f"{sample.key}.jpg", sample.size_hw)
    every = {mask.tobytes() for labels in maps for mask in from_label_map(labels)[1]}
    found = [mask.tobytes() for mask in dense(sample).masks]
    assert set(found) == every and len(found) == len(every)
    assert all((labels > 0).all() for labels in maps)


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
