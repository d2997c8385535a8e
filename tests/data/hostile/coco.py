"""COCO's JSON of instances and its panoptic one."""

import json
from pathlib import Path

from tests.data.hostile.making import (
    HUGE,
    LARGE,
    SIZE_HW,
    Build,
    Case,
    gigabyte_of_json,
    jpeg,
    png,
    sparse,
    write,
)


def coco(annotation: dict, name: str = "1.jpg", size_hw: tuple[int, int] = SIZE_HW) -> Build:
    def build(folder: Path) -> None:
        write(folder / "images/1.jpg", jpeg())
        height, width = size_hw
        image = {"id": 1, "file_name": name, "height": height, "width": width}
        whole = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0} | annotation
        document = {"images": [image], "annotations": [whole], "categories": []}
        write(folder / "annotations/instances_val.json", json.dumps(document).encode())

    return build


def coco_text(text: bytes, size: int | None = None) -> Build:
    def build(folder: Path) -> None:
        write(folder / "images/1.jpg", jpeg())
        sparse(folder / "annotations/instances_val.json", text, size or len(text))

    return build


def polygon(*numbers: float) -> Build:
    return coco({"segmentation": [list(numbers)]})


def panoptic(name: str = "1.png", content: bytes = b"") -> Build:
    def build(folder: Path) -> None:
        write(folder / "images/1.jpg", jpeg())
        write(folder / "annotations/panoptic_val/1.png", content or png(SIZE_HW, rows=12))
        image = {"id": 1, "file_name": "1.jpg", "height": 12, "width": 16}
        segment = {"id": 1, "category_id": 1, "iscrowd": 0, "area": 192, "bbox": [0, 0, 16, 12]}
        one = {"image_id": 1, "file_name": name, "segments_info": [segment]}
        document = {"images": [image], "annotations": [one], "categories": []}
        write(folder / "annotations/panoptic_val.json", json.dumps(document).encode())

    return build


CASES = {
    "coco: JSON of a gigabyte": Case("coco", coco_text(b'{"images": [', 1_200_000_000), ".json"),
    "coco: JSON a million deep": Case(
        "coco", coco_text(b'{"images": ' + b"[" * 10**6 + b"]" * 10**6 + b"}"), ".json"
    ),
    "coco: no JSON": Case("coco", coco_text(b"\xff" * 10**6), ".json"),
    "coco: runs that overflow": Case(
        "coco", coco({"segmentation": {"size": [12, 16], "counts": [2**62] * 4}}), ".json"
    ),
    "coco: coded runs that overflow": Case(
        "coco", coco({"segmentation": {"size": [12, 16], "counts": "o" * 12 + "000"}}), ".json"
    ),
    "coco: a mask of a terapixel": Case(
        "coco", coco({"segmentation": {"size": [10**6, 10**6], "counts": [10**12]}}), ".json"
    ),
    "coco: an image that says a terapixel": Case(
        "coco",
        coco({"segmentation": [[0, 0, 9, 0, 9, 9]]}, size_hw=(10**6, 10**6)),
        "instances_val.json",
    ),
    "coco: a polygon beyond the numbers": Case("coco", polygon(0, 0, 1e308, 0, 9, 1e308), ".json"),
    "coco: a polygon of no number": Case("coco", polygon(0, 0, float("nan"), 9, 9, 9), ".json"),
    "coco: an infinite polygon": Case("coco", polygon(0, 0, float("inf"), 9, 9, 9), ".json"),
    "coco: a name that climbs": Case(
        "coco", coco({"segmentation": [[0, 0, 9, 0, 9, 9]]}, "../../../etc/passwd"), ".json"
    ),
    "coco: an absolute name": Case(
        "coco", coco({"segmentation": [[0, 0, 9, 0, 9, 9]]}, "/etc/passwd"), ".json"
    ),
    "coco_panoptic: JSON of a gigabyte": Case(
        "coco_panoptic",
        gigabyte_of_json("annotations/panoptic_val.json"),
        "panoptic_val.json",
    ),
    "coco_panoptic: a name that climbs": Case("coco_panoptic", panoptic("../../1.png"), ".json"),
    "coco_panoptic: ten gigapixels": Case("coco_panoptic", panoptic(content=HUGE), "1.png"),
    "coco_panoptic: another size": Case("coco_panoptic", panoptic(content=LARGE), "1.png"),
}  # fmt: skip


CONTROLS = {
    "coco": Case("coco", polygon(0, 0, 9, 0, 9, 9), "read 1"),
}
