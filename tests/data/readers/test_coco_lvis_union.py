import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.coco_lvis import read_coco_lvis
from maskspace.data.readers.coco_lvis_union import LAST_THING
from maskspace.masks import areas

STEM = "000000142238"


@pytest.fixture
def root(assets: Path, tmp_path: Path) -> Path:
    """A real panoptic image, in COCO's layout, and LVIS annotations drawn for it.

    The first repeats a person of the panoptic map as a polygon, the second is a part of it, the
    third and the fourth are nearly the same, the fifth is too small.
    """
    theirs = assets / "coco_format/coco_panoptic"
    (tmp_path / "val2017").mkdir()
    shutil.copy(theirs / f"images/{STEM}.jpg", tmp_path / f"val2017/{STEM}.jpg")
    folder = tmp_path / "annotations/panoptic_val2017"
    folder.mkdir(parents=True)
    shutil.copy(theirs / f"panoptic/{STEM}.png", folder / f"{STEM}.png")
    shutil.copy(theirs / "panoptic.json", tmp_path / "annotations/panoptic_val2017.json")
    polygons = [
        [300, 20, 420, 20, 420, 120, 300, 120],
        [320, 40, 380, 40, 380, 100, 320, 100],
        [10, 10, 60, 10, 60, 60, 10, 60],
        [10, 10, 61, 10, 61, 60, 10, 60],
        [100, 100, 105, 100, 105, 105, 100, 105],
    ]
    lvis = {
        "images": [
            {
                "id": 142238,
                "height": 427,
                "width": 640,
                "coco_url": f"http://images.cocodataset.org/val2017/{STEM}.jpg",
            },
            {
                "id": 7,
                "height": 4,
                "width": 4,
                "coco_url": "http://images.cocodataset.org/train2017/000000000007.jpg",
            },
        ],
        "annotations": [
            {
                "id": number,
                "image_id": 142238,
                "category_id": 1 + number % 2,
                "segmentation": [polygon],
            }
            for number, polygon in enumerate(polygons, start=1)
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "hat"}],
    }
    (tmp_path / "lvis_v1_val.json").write_text(json.dumps(lvis))
    return tmp_path


def panoptic(root: Path) -> tuple[np.ndarray, list[dict]]:
    with Image.open(root / f"annotations/panoptic_val2017/{STEM}.png") as image:
        labels = np.asarray(image).astype(int) @ (1, 256, 65536)
    record = json.loads((root / "annotations/panoptic_val2017.json").read_text())
    (annotation,) = record["annotations"]
    return labels, annotation["segments_info"]


def test_things_come_first_then_lvis_without_what_is_doubled_or_small(root: Path) -> None:
    source = read_coco_lvis(str(root), seed=0, limit=None, layout="union")
    assert source.keys == (STEM,) and source.splits == ("val",)
    labels, segments = panoptic(root)
    things = [
        labels == s["id"]
        for s in segments
        if s["category_id"] <= LAST_THING and not s["iscrowd"] and s["area"] >= 80
    ]
    arrays = dense(source[0])
    assert len(arrays.masks) == len(things) + 3
    assert (arrays.masks[: len(things)] == np.array(things)).all()
    assert areas(arrays.masks)[len(things) :].tolist() == [12_000, 3600, 51 * 50]
    assert arrays.parents[-2] == arrays.ids[-3] and arrays.parents[-3] == arrays.parents[-1] == 0


def test_masks_keep_the_category_of_their_own_file(root: Path) -> None:
    source = read_coco_lvis(str(root), seed=0, limit=None, layout="union", stuff=True)
    names = {one.id: one.name for one in source.categories}
    kept = [one for one in source[0].annotations if not one.ignore]
    found = [names[one.category] for one in kept if one.category is not None]
    assert len(found) == len(kept)
    labels, segments = panoptic(root)
    large = [s for s in segments if (labels == s["id"]).sum() >= 80 and not s["iscrowd"]]
    things = [s for s in large if s["category_id"] <= LAST_THING]
    assert found[: len(things)] == [names[s["category_id"]] for s in things]
    # LVIS's: hat, person (COCO's own), person
    assert found[len(things) : len(things) + 3] == ["hat", "person", "person"]
    assert {one.id for one in source.categories if one.name == "person"} == {1}
    of_stuff = {names[s["category_id"]] for s in segments if s["category_id"] > LAST_THING}
    assert set(found[len(things) + 3 :]) <= of_stuff and of_stuff


def test_without_a_layout_it_is_the_one_that_there_is(root: Path, trees: Path) -> None:
    (sample,) = read_coco_lvis(str(root), seed=0, limit=None)
    assert sample == read_coco_lvis(str(root), seed=0, limit=None, layout="union")[0]
    shutil.copytree(trees / "coco_lvis", root, dirs_exist_ok=True)
    assert len(read_coco_lvis(str(root), seed=0, limit=None)) == 4
    assert len(read_coco_lvis(str(root), seed=0, limit=None, layout="union")) == 1


def test_categories_up_to_the_last_thing_are_the_things(root: Path) -> None:
    record = json.loads((root / "annotations/panoptic_val2017.json").read_text())
    for category in record["categories"]:
        assert (category["id"] <= LAST_THING) == (category["isthing"] == 1)


def test_stuff_is_what_the_instances_leave_of_it(root: Path) -> None:
    plain, stuff = (
        dense(read_coco_lvis(str(root), seed=0, limit=None, layout="union", stuff=with_)[0])
        for with_ in (False, True)
    )
    number = len(plain.masks)
    assert (stuff.masks[:number] == plain.masks).all()
    taken = plain.masks.any(axis=0)
    labels, segments = panoptic(root)
    rest = [(labels == s["id"]) & ~taken for s in segments if s["category_id"] > LAST_THING]
    rest = [mask for mask in rest if mask.sum() > 500]
    assert (stuff.masks[number:] == np.array(rest)).all() and rest
    assert (stuff.parents[number:] == 0).all()


def test_crowds_are_to_be_ignored_where_no_instance_is(root: Path) -> None:
    path = root / "annotations/panoptic_val2017.json"
    record = json.loads(path.read_text())
    segments = record["annotations"][0]["segments_info"]
    crowd = next(s for s in segments if s["category_id"] <= LAST_THING)
    crowd["iscrowd"] = 1
    path.write_text(json.dumps(record))
    arrays = dense(read_coco_lvis(str(root), seed=0, limit=None, layout="union")[0])
    labels, _ = panoptic(root)
    crowds = [s["id"] for s in segments if s["iscrowd"]]
    expected = np.isin(labels, crowds) & ~arrays.masks.any(axis=0)
    assert (arrays.ignore == expected).all() and expected.any()


def test_parents_may_be_found_from_the_masks(root: Path) -> None:
    sample = read_coco_lvis(str(root), seed=0, limit=None, layout="union", nesting="masks")[0]
    arrays = dense(sample)
    for mask, parent in zip(arrays.masks, arrays.parents.tolist(), strict=True):
        if parent:
            assert (mask & arrays.masks[parent - 1]).sum() >= 0.95 * mask.sum()


def test_real_lvis_polygons_give_their_masks(assets: Path, root: Path) -> None:
    lvis = json.loads((assets / "lvis_format/lvis_val_20.json").read_text())
    image = next(i for i in lvis["images"] if "val2017" in i["coco_url"])
    stem = image["coco_url"].split("/")[-1][:-4]
    labels = np.zeros((image["height"], image["width"], 3), np.uint8)
    labels[:9] = 5, 0, 0
    Image.fromarray(labels).save(root / f"annotations/panoptic_val2017/{stem}.png")
    Image.new("RGB", (image["width"], image["height"])).save(root / f"val2017/{stem}.jpg")
    record = {
        "images": [{"id": image["id"], "height": 9, "width": 9, "file_name": f"{stem}.jpg"}],
        "annotations": [
            {
                "image_id": image["id"],
                "file_name": f"{stem}.png",
                "segments_info": [{"id": 5, "category_id": 1, "iscrowd": 0}],
            }
        ],
    }
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(record))
    shutil.copy(assets / "lvis_format/lvis_val_20.json", root / "lvis_v1_val.json")
    sample = read_coco_lvis(str(root), seed=0, limit=None, layout="union")[0]
    said = [a for a in lvis["annotations"] if a["image_id"] == image["id"]]
    large = [a for a in said if a["area"] > 100]
    assert len(large) - 2 <= len(sample.annotations) - 1 <= len(said)
    assert sum(a.area for a in sample.annotations[1:]) > 0.8 * sum(a["area"] for a in large)


def test_what_does_not_fit_is_one_line(root: Path) -> None:
    def read() -> object:
        return read_coco_lvis(str(root), seed=0, limit=None, layout="union")[0]

    path = root / "annotations/panoptic_val2017.json"
    record = json.loads(path.read_text())
    record["annotations"][0]["segments_info"] = 3
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"panoptic_val2017\.json: 0\d+ has no list `segments_i"):
        read()
    lvis = json.loads((root / "lvis_v1_val.json").read_text())
    lvis["images"][0]["width"] = 9
    (root / "lvis_v1_val.json").write_text(json.dumps(lvis))
    with pytest.raises(ValueError, match=rf"lvis_v1_val\.json: says {STEM} is \(427, 9\), it is"):
        read()
    lvis["images"] = lvis["images"][1:]
    lvis["annotations"] = []
    (root / "lvis_v1_val.json").write_text(json.dumps(lvis))
    with pytest.raises(ValueError, match="no image is in both"):
        read()


def test_a_segment_that_the_png_has_not_is_left_out_and_said(root: Path) -> None:
    path = root / "annotations/panoptic_val2017.json"
    record = json.loads(path.read_text())
    record["annotations"][0]["segments_info"][0]["id"] = 99
    path.write_text(json.dumps(record))
    sample = read_coco_lvis(str(root), seed=0, limit=None, layout="union")[0]
    assert sample.left_out == (f"{STEM}.png: segment 99 has no category or no pixel",)
