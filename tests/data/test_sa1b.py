import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.loader import dense
from maskspace.data.sa1b import box_from_sa1b, parse_sa1b, read_sa1b
from maskspace.masks import areas, boxes_xywh


def test_a_real_record_decodes_to_its_areas_and_boxes(assets: Path) -> None:
    path = assets / "sa1b_format" / "sa_000020" / "sa_226381.json"
    annotations = json.loads(path.read_text())["annotations"]
    masks, scores = parse_sa1b(path.read_bytes(), (1500, 2000), place=path.name)
    assert [a["area"] for a in annotations] == list(areas(masks))
    boxes = [box_from_sa1b(a["bbox"]) for a in annotations]
    assert boxes == [tuple(box) for box in boxes_xywh(masks).tolist()]
    assert scores == [a["predicted_iou"] for a in annotations]


def test_a_folder_of_real_photos_reads_whole(assets: Path) -> None:
    folder = assets / "sa1b_format" / "converted"
    source = read_sa1b(str(folder), seed=0, limit=3)
    numbers = [int(key.split("_")[1]) for key in source.keys]
    assert numbers == sorted(numbers)
    for sample in source:
        said = json.loads((folder / f"{sample.key}.json").read_text())["annotations"]
        assert sorted({a["area"] for a in said}) == sorted({a.area for a in sample.annotations})
        assert sample.image == (folder / f"{sample.key}.jpg").read_bytes()


def test_tars_and_an_unpacked_folder_give_the_same_samples(raw: Path, tmp_path: Path) -> None:
    for tar in sorted((raw / "sa1b").glob("*.tar")):
        with tarfile.open(tar) as archive:
            archive.extractall(tmp_path, filter="data")
    packed = read_sa1b(str(raw / "sa1b"), seed=0, limit=None)
    loose = read_sa1b(str(tmp_path), seed=0, limit=None)
    assert packed.keys == loose.keys == ("sa_9", "sa_10", "sa_11", "sa_12")
    for one, other in zip(packed, loose, strict=True):
        assert one.image == other.image and one.annotations == other.annotations


def test_the_sample_tars_hold_three_levels(raw: Path) -> None:
    arrays = dense(read_sa1b(str(raw / "sa1b"), seed=0, limit=1)[0])
    parents = {int(i): int(p) for i, p in zip(arrays.ids, arrays.parents, strict=True)}
    assert any(parents.get(parents.get(parents[i], 0), -1) == 0 for i in parents if parents[i])


def write(folder: Path, label: object, size: tuple[int, int] = (6, 4)) -> Path:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(buffer, format="JPEG")
    text = label if isinstance(label, bytes) else json.dumps(label).encode()
    with tarfile.open(folder / "sa_0.tar", "w") as archive:
        for name, content in (("./sa_1.jpg", buffer.getvalue()), ("./sa_1.json", text)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return folder


def good() -> dict:
    # 2 columns of 6 rows in an image of 6 rows and 4 columns
    return {
        "image": {"image_id": 1, "width": 4, "height": 6, "file_name": "sa_1.jpg"},
        "annotations": [
            {
                "segmentation": {"size": [6, 4], "counts": "0<<"},
                "area": 12,
                "bbox": [0, 0, 1, 5],
                "predicted_iou": 1.01,
            }
        ],
    }


def test_a_minimal_record_is_read_and_its_score_cut_to_one(tmp_path: Path) -> None:
    sample = read_sa1b(str(write(tmp_path, good())), seed=0, limit=None)[0]
    assert [(a.area, a.box_xywh, a.score) for a in sample.annotations] == [(12, (0, 0, 2, 6), 1.0)]


def set_in(*path: str | int, value: object) -> Callable[[dict], object]:
    def change(record: dict) -> object:
        inner = record
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return record

    return change


BROKEN = {
    "not JSON": lambda record: b"{",
    "no object `image`": lambda record: {"images": []},
    "no list `annotations`": set_in("annotations", value=3),
    "no number `width`": set_in("image", "width", value="4"),
    r"6 x 5 \(h x w\), its image is 6 x 4": set_in("image", "width", value=5),
    "annotation 1 has no run-length": set_in("annotations", 0, "segmentation", value=[[0, 0]]),
    r"its mask is \[4, 6\]": set_in("annotations", 0, "segmentation", "size", value=[4, 6]),
    "annotation 1: its run lengths cover 13 pixels": set_in(
        "annotations", 0, "segmentation", "counts", value="0<1"
    ),
    "annotation 1: run lengths hold": set_in("annotations", 0, "segmentation", "counts", value="é"),
    "area says 11, its mask has 12": set_in("annotations", 0, "area", value=11),
    "no number `predicted_iou`": set_in("annotations", 0, "predicted_iou", value=None),
    "mask 1 is empty": lambda record: set_in("annotations", 0, "area", value=0)(
        set_in("annotations", 0, "segmentation", "counts", value="h0")(record)
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_what_is_not_sa1b_is_one_line_with_tar_and_member(tmp_path: Path, message: str) -> None:
    source = read_sa1b(str(write(tmp_path, BROKEN[message](good()))), seed=0, limit=None)
    with pytest.raises(ValueError, match=message) as caught:
        source[0]
    assert "sa_0.tar:sa_1.json: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sa_1.jpg").write_bytes(b"not an image")
    (tmp_path / "sa_1.json").write_text(json.dumps(good()))
    with pytest.raises(ValueError, match=r"sa_1\.jpg: cannot be read as an image"):
        read_sa1b(str(tmp_path), seed=0, limit=None)[0]


def test_a_missing_half_or_root_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no sa_N\.jpg"):
        read_sa1b(str(tmp_path), seed=0, limit=None)
    (tmp_path / "sa_1.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"its \.json is missing"):
        read_sa1b(str(tmp_path), seed=0, limit=None)
    with pytest.raises(ValueError, match="no such folder"):
        read_sa1b(str(tmp_path / "none"), seed=0, limit=None)
