import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from maskspace.data.annotations import annotate
from maskspace.data.dense import dense
from maskspace.data.readers.coco import read_coco
from maskspace.masks import areas, boxes_xywh, decode, encode
from maskspace.types import Category, Sample

SETS = {
    "coco_tiny": (3, 39, 1),
    "balloon": (14, 22, 0),
    "labelme_voc_coco": (3, 12, 0),
}


@pytest.mark.parametrize("name", SETS)
def test_every_real_annotation_is_pycocotools_own_mask(assets: Path, name: str) -> None:
    root = assets / "coco_format" / name
    listed = json.loads((root / "annotations/instances.json").read_text())
    source = read_coco(str(root), seed=0, limit=None)
    assert len(source) == SETS[name][0]
    assert sum(len(sample.annotations) for sample in source) == SETS[name][1]
    assert sum(a.ignore for sample in source for a in sample.annotations) == SETS[name][2]
    for sample, image in zip(source, listed["images"], strict=True):
        records = [a for a in listed["annotations"] if a["image_id"] == image["id"]]
        expected = {(pycocotools_mask(a, sample), bool(a["iscrowd"])) for a in records}
        found = decode([a.counts for a in sample.annotations], sample.size_hw)
        ignored = [a.ignore for a in sample.annotations]
        assert {(m.tobytes(), i) for m, i in zip(found, ignored, strict=True)} == expected
        assert [a.area for a in sample.annotations] == areas(found).tolist()
        assert [list(a.box_xywh) for a in sample.annotations] == boxes_xywh(found).tolist()


def pycocotools_mask(annotation: dict, sample: Sample) -> bytes:
    coded = annotation["segmentation"]
    if isinstance(coded, list):
        coded = pycoco.merge(pycoco.frPyObjects(coded, *sample.size_hw))
    elif isinstance(coded["counts"], list):
        coded = pycoco.frPyObjects(coded, *sample.size_hw)
    return pycoco.decode(coded).astype(bool).tobytes()


def test_lvis_images_are_found_by_their_url(assets: Path, tmp_path: Path) -> None:
    listed = json.loads((assets / "lvis_format/lvis_val_20.json").read_text())
    for image in listed["images"]:
        del image["file_name"]
        path = tmp_path / "images" / "/".join(image["coco_url"].split("/")[-2:])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (image["width"], image["height"])).save(path)
    (tmp_path / "lvis_v1_val.json").write_text(json.dumps(listed))
    source = read_coco(str(tmp_path), seed=0, limit=None)
    samples = list(source)
    annotated = {a["image_id"] for a in listed["annotations"]}
    assert len(samples) == len(annotated) and set(source.splits) == {"val"}
    assert sum(len(sample.annotations) for sample in samples) == 237
    every = read_coco(str(tmp_path), seed=0, limit=None, unannotated=True)
    assert len(every) == 20


@pytest.fixture
def coco_tree(tmp_path: Path, picture: Callable) -> Callable[..., Path]:
    """The function that writes an 8 x 10 image and a JSON with the given annotations."""

    def write(*annotations: dict, **changes: object) -> Path:
        picture(tmp_path / "images/a.png", np.zeros((8, 10, 3), np.uint8))
        image = {"id": 1, "file_name": "a.png", "height": 8, "width": 10}
        content = {"images": [image], "annotations": list(annotations), **changes}
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations/instances_val.json").write_text(json.dumps(content))
        return tmp_path

    return write


MASK = np.zeros((8, 10), bool)
MASK[2:5, 3:9] = True
COUNTS = encode(MASK[None])[0]
RUNS = [26, 3, 5, 3, 5, 3, 5, 3, 5, 3, 5, 3, 11]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [8, 10], "counts": COUNTS},
        {"size": [8, 10], "counts": RUNS},
        {"size": [8, 10], "counts": [20, 0, 6, 3, 0, 0, *RUNS[2:], 0]},
        [[3, 2, 9, 2, 9, 5, 3, 5]],
        [[3, 2, 6, 2, 6, 5, 3, 5], [6, 2, 9, 2, 9, 5, 6, 5]],
    ],
)
def test_each_coding_gives_the_same_annotation(
    coco_tree: Callable[..., Path], segmentation: object
) -> None:
    root = coco_tree({"id": 7, "image_id": 1, "segmentation": segmentation, "area": 1, "bbox": [0]})
    (sample,) = read_coco(str(root), seed=0, limit=None)
    assert sample.annotations == annotate(MASK[None])
    assert sample.split == "val" and sample.source == "images/a.png" and sample.key == "a"
    assert dense(sample).image.shape == (8, 10, 3)


BAD = [
    ([], "no segmentation"),
    (None, "no segmentation"),
    ([[1, 2, 3, 4]], "three points"),
    ([[1, 2, 3, 4, 5]], "three points"),
    ([[1, 2, 3, 4, 5, float("nan")]], "no number"),
    ([[1, 2, 3, 4, 5, "six"]], "no number"),
    ([[1, 2, 3, 4, 5, 1e15]], "far outside"),
    ([[1, 2, 3, 4, 5, 1e300]], "far outside"),
    ([[1, 2, 3, 4, 5, "1e300"]], "no number"),
    ([[1, 2, 3, 4, 5, -2_000_000_000]], "far outside"),
    ({"size": [10, 8], "counts": COUNTS}, "[8, 10]"),
    ({"size": [8, 10], "counts": COUNTS[:-1]}, "run lengths"),
    ({"size": [8, 10], "counts": [79]}, "80"),
    ({"size": [8, 10], "counts": [2**32, 80]}, "80"),
    ({"size": [8, 10], "counts": [40, -1, 41]}, "80"),
    ({"size": [8, 10], "counts": {}}, "convert it"),
]


@pytest.mark.parametrize(("segmentation", "words"), BAD)
def test_a_segmentation_that_is_no_mask_is_left_out_and_said(
    coco_tree: Callable[..., Path], segmentation: object, words: str
) -> None:
    good = {"id": 1, "image_id": 1, "segmentation": {"size": [8, 10], "counts": COUNTS}}
    bad = {"id": 77, "image_id": 1, "segmentation": segmentation}
    source = read_coco(str(coco_tree(bad, good)), seed=0, limit=None)
    (sample,) = source
    assert sample.annotations == annotate(MASK[None])
    (said,) = [*sample.left_out, *(one for one in source.notes if "left out" in one)]
    assert words in said and ("annotation 77: " in said or "instances_val.json: 1 left out" in said)


@pytest.mark.parametrize(("segmentation", "words"), BAD)
def test_an_image_without_one_good_annotation_is_one_line_with_the_file(
    coco_tree: Callable[..., Path], segmentation: object, words: str
) -> None:
    root = coco_tree({"id": 77, "image_id": 1, "segmentation": segmentation})
    with pytest.raises(ValueError, match=rf"instances_val\.json: .*{re.escape(words)}") as error:
        read_coco(str(root), seed=0, limit=None)[0]
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_images_of_another_size_or_missing_are_one_line(coco_tree: Callable[..., Path]) -> None:
    whole = {"id": 1, "image_id": 1, "segmentation": {"size": [8, 9], "counts": [0, 72]}}
    image = {"id": 1, "file_name": "a.png", "height": 8, "width": 9}
    root = coco_tree(whole, images=[image])
    with pytest.raises(ValueError, match=r"a\.png is \(8, 9\), it is \(8, 10\)"):
        read_coco(str(root), seed=0, limit=None)[0]
    coco_tree(whole, images=[image | {"file_name": "b.png"}])
    with pytest.raises(
        ValueError, match=r"no image b\.png in images, val, .*images/val, .*the root"
    ):
        read_coco(str(root), seed=0, limit=None)
    with pytest.raises(ValueError, match=r"no image b\.png in photos; .*option `images`"):
        read_coco(str(root), seed=0, limit=None, images="photos")


def test_what_there_is_not_is_one_line(coco_tree: Callable[..., Path], tmp_path: Path) -> None:
    root = str(coco_tree())
    with pytest.raises(ValueError, match="set unannotated"):
        read_coco(root, seed=0, limit=None)
    assert read_coco(root, seed=0, limit=None, unannotated=True)[0].annotations == ()
    with pytest.raises(
        ValueError, match=r"no annotations of the split train \(annotations/instances_val"
    ):
        read_coco(root, seed=0, limit=None, split="train")
    with pytest.raises(ValueError, match="split 'dev' is unknown"):
        read_coco(root, seed=0, limit=None, split="dev")
    with pytest.raises(ValueError, match=r"none\.json: no such file"):
        read_coco(root, seed=0, limit=None, annotations="none.json")
    with pytest.raises(ValueError, match="no such file or folder"):
        read_coco(str(tmp_path / "none"), seed=0, limit=None)


TABLE = [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog", "supercategory": "animal"}]


def test_masks_have_the_categories_of_the_file(coco_tree: Callable[..., Path]) -> None:
    record = {"image_id": 1, "segmentation": {"size": [8, 10], "counts": COUNTS}}
    root = coco_tree(record | {"id": 1, "category_id": 8}, categories=TABLE)
    source = read_coco(str(root), seed=0, limit=None)
    assert source.categories == (Category(id=3, name="cat"), Category(id=8, name="dog"))
    assert [one.category for one in source[0].annotations] == [8]


def test_without_a_table_masks_have_no_category(coco_tree: Callable[..., Path]) -> None:
    record = {"image_id": 1, "segmentation": {"size": [8, 10], "counts": COUNTS}, "category_id": 8}
    source = read_coco(str(coco_tree(record)), seed=0, limit=None)
    assert source.categories == () and source[0].annotations[0].category is None


def test_a_category_that_is_not_listed_is_none_and_said(coco_tree: Callable[..., Path]) -> None:
    record = {"image_id": 1, "segmentation": {"size": [8, 10], "counts": COUNTS}}
    root = coco_tree(record | {"id": 1, "category_id": 5}, categories=TABLE)
    source = read_coco(str(root), seed=0, limit=None)
    assert [one.category for one in source[0].annotations] == [None]
    assert "instances_val.json: 1 annotations of a category that is not listed" in source.notes


def test_two_categories_of_one_id_are_one_line(coco_tree: Callable[..., Path]) -> None:
    record = {"image_id": 1, "segmentation": {"size": [8, 10], "counts": COUNTS}, "category_id": 3}
    root = coco_tree(record, categories=[*TABLE, {"id": 3, "name": "cow"}])
    with pytest.raises(ValueError, match="category 3 is 'cow' here and 'cat' in another place"):
        read_coco(str(root), seed=0, limit=None)


@pytest.mark.parametrize("name", SETS)
def test_real_annotations_have_their_category(assets: Path, name: str) -> None:
    root = assets / "coco_format" / name
    listed = json.loads((root / "annotations/instances.json").read_text())
    names = {one["id"]: one["name"] for one in listed["categories"]}
    source = read_coco(str(root), seed=0, limit=None)
    assert {one.id: one.name for one in source.categories} == names
    for sample, image in zip(source, listed["images"], strict=True):
        said = {a["category_id"] for a in listed["annotations"] if a["image_id"] == image["id"]}
        assert {one.category for one in sample.annotations} == said
