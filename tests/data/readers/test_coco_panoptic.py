import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.coco_panoptic import read_coco_panoptic
from maskspace.data.source import Source


def test_every_real_segment_is_a_mask_with_its_area(assets: Path) -> None:
    root = assets / "coco_format/coco_panoptic"
    (sample,) = read_coco_panoptic(str(root), seed=0, limit=None)
    (record,) = json.loads((root / "panoptic.json").read_text())["annotations"]
    assert len(sample.annotations) == len(record["segments_info"]) == 18
    with Image.open(root / "panoptic" / record["file_name"]) as opened:
        colours = np.asarray(opened).astype(int)
    ids = colours @ [1, 256, 65536]
    arrays = dense(sample)
    counted = [s for s in record["segments_info"] if not s["iscrowd"]]
    assert len(arrays.masks) == len(counted) == 17
    for mask, segment in zip(arrays.masks, counted, strict=True):
        assert (mask == (ids == segment["id"])).all() and mask.sum() == segment["area"]
    crowds = [s["id"] for s in record["segments_info"] if s["iscrowd"]]
    assert (arrays.ignore == np.isin(ids, crowds)).all()
    assert not arrays.parents.any() and not (arrays.masks.any(axis=0) & (ids == 0)).any()


def changed(assets: Path, folder: Path, change: Callable[[dict], object]) -> Source:
    root = shutil.copytree(assets / "coco_format/coco_panoptic", folder / "copy")
    listed = json.loads((root / "panoptic.json").read_text())
    change(listed["annotations"][0])
    (root / "panoptic.json").write_text(json.dumps(listed))
    return read_coco_panoptic(str(root), seed=0, limit=None)


@pytest.mark.parametrize(
    ("change", "words", "left"),
    [
        (lambda one: one["segments_info"].pop(), r"is not in its segments_info", 17),
        (lambda one: one["segments_info"][0].update(area=5), "its area says 5", 17),
        (lambda one: one["segments_info"][0].update(id=5), "segment 5 has no pixel", 17),
        (lambda one: one["segments_info"].append(one["segments_info"][0]), "listed twice", 18),
        (lambda one: one["segments_info"][0].update(id="x"), "`id` is 'x', no number", 17),
        (lambda one: one["segments_info"][0].update(iscrowd="x"), "neither 0 nor 1", 17),
        (lambda one: one["segments_info"].append(None), "is no object", 18),
    ],
)
def test_segments_that_do_not_fit_the_png_are_left_out_and_said(
    assets: Path, tmp_path: Path, change: Callable[[dict], object], words: str, left: int
) -> None:
    (sample,) = changed(assets, tmp_path, change)
    assert len(sample.annotations) == left and any(words in one for one in sample.left_out)


def test_numbers_as_text_and_missing_ones_mean_the_same(assets: Path, tmp_path: Path) -> None:
    def as_text(one: dict) -> None:
        one.pop("file_name")
        for segment in one["segments_info"]:
            segment.update(id=str(segment["id"]), area=None, iscrowd=f"{segment['iscrowd']}.0")

    (sample,) = changed(assets, tmp_path, as_text)
    (same,) = read_coco_panoptic(str(assets / "coco_format/coco_panoptic"), seed=0, limit=None)
    assert sample == same


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.update(segments_info=3), "no list `segments_info`"),
        (lambda one: one.update(file_name="../a.png"), "not the name of a PNG"),
        (lambda one: one.update(file_name="b.png"), r"b\.png: no such file"),
    ],
)
def test_an_image_without_its_segments_is_one_line(
    assets: Path, tmp_path: Path, change: Callable[[dict], object], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as error:
        changed(assets, tmp_path, change)[0]
    assert "\n" not in str(error.value)


def test_without_a_json_the_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no annotations .*panoptic\*\.json"):
        read_coco_panoptic(str(tmp_path), seed=0, limit=None)


def test_segments_have_their_category_things_and_stuff(assets: Path) -> None:
    root = assets / "coco_format/coco_panoptic"
    source = read_coco_panoptic(str(root), seed=0, limit=None)
    listed = json.loads((root / "panoptic.json").read_text())
    kinds = {one["id"]: bool(one["isthing"]) for one in listed["categories"]}
    assert {one.id: one.is_thing for one in source.categories} == kinds
    said = [
        one["category_id"]
        for crowd in (0, 1)
        for one in listed["annotations"][0]["segments_info"]
        if one["iscrowd"] == crowd
    ]
    assert [one.category for one in source[0].annotations] == said
    assert {kinds[category] for category in said} == {True, False}
