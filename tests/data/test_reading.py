import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.cli.evaluate import read_split
from maskspace.cli.frame import dataset
from maskspace.config import keyword_options
from maskspace.data import READERS
from maskspace.data.reading import bound_reader

#: A value as text for each option that any reader has.
VALUES = {
    "annotations": "a.json", "background": "none", "categories": "true", "containment": "0.9",
    "contrast": "1.5+2",
    "exif": "false", "ids": "semantic_instance", "ignored": "255", "images": "imgs",
    "kind": "masks", "labels": "gt", "layout": "union", "licence": "own", "mask_suffix": "_mask",
    "masklets": "both", "max_json_bytes": "1000", "max_pickle_bytes": "1000", "mean_jitter": "2.5",
    "nesting": "masks", "noise": "2", "objects": "merged", "palette": "colour",
    "preview": "tonemap", "real": "0.25", "rectangles": "1+2", "regions": "2+3", "repeat": "0.5",
    "resolution": "1080p", "shading": "0.5", "size_hw": "64+48", "split": "val",
    "split_file": "s.csv", "stuff": "true", "subsets": "coift+hrsod", "suffix": "_gt",
    "texture": "3", "unannotated": "true", "white": "4095", "year": "2017",
}  # fmt: skip


@pytest.mark.parametrize("kind", READERS)
def test_every_option_that_a_reader_has_can_be_given_as_text(kind: str) -> None:
    for name in keyword_options(READERS[kind]):
        if name in ("seed", "limit"):
            continue
        text = "2+3" if (kind, name) == ("scenes", "objects") else VALUES[name]
        assert name in bound_reader(kind, {name: text}).keywords
        with pytest.raises(ValueError, match=rf"^{kind}: unknown option '{name}_'; it takes "):
            bound_reader(kind, {f"{name}_": text})


@pytest.mark.parametrize(
    ("text", "path", "options"),
    [
        (
            "folder:/a,ignored=255,mask_suffix=_mask",
            "/a",
            {"ignored": "255", "mask_suffix": "_mask"},
        ),
        ("folder:/a,b/c=d", "/a,b/c=d", {}),
        ("folder:/a,b,kind=masks", "/a,b", {"kind": "masks"}),
        ("coco:s3://b/c", "s3://b/c", {}),
        ("coco:a,annotations=x=y.json", "a", {"annotations": "x=y.json"}),
    ],
)
def test_options_follow_the_path_after_commas(text: str, path: str, options: dict) -> None:
    assert dataset(text) == (text.partition(":")[0], path, options)


@pytest.mark.parametrize("text", ["folder", "folder:", ":a"])
def test_what_names_no_dataset_is_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not KIND:PATH"):
        dataset(text)


def test_a_source_without_splits_is_used_whole_and_others_name_theirs(tmp_path: Path) -> None:
    for place in ("images", "labels"):
        (tmp_path / "whole" / place).mkdir(parents=True)
        (tmp_path / "split/train" / place).mkdir(parents=True)
        for root in ("whole", "split/train"):
            Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / root / place / "a.png")
    assert len(read_split("folder", str(tmp_path / "whole"), split="val", limit=None)) == 1
    with pytest.raises(ValueError, match="no images in split val; this source has train"):
        read_split("folder", str(tmp_path / "split"), split="val", limit=None)
    chosen = read_split(
        "folder", str(tmp_path / "split"), split="val", limit=None, options={"split": "train"}
    )
    assert list(chosen.splits) == ["train"] and chosen.notes
