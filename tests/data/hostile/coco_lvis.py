"""COCO+LVIS: a pickle of layers a photo and one of them all, or the JSON of both."""

import pickle
import struct
from pathlib import Path

import numpy as np

from tests.data.hostile.making import (
    HUGE,
    LARGE,
    SIZE_HW,
    Build,
    Case,
    Touch,
    gigabyte_of_json,
    jpeg,
    png,
    write,
)

PANOPTIC = "annotations/panoptic_val2017.json"


def coco_lvis(masks: bytes, index: bytes | None = None) -> Build:
    def build(folder: Path) -> None:
        write(folder / "train/images/000000000001.jpg", jpeg())
        write(folder / "train/masks/000000000001.pickle", masks)
        node = {"000000000001": {"num_instance_masks": 1, "hierarchy": {0: None}}}
        write(folder / "train/hannotation.pickle", index or pickle.dumps(node))

    return build


def layer(content: bytes) -> bytes:
    return pickle.dumps(([np.frombuffer(content, np.uint8)], [(0, 1)]))


CASES = {
    "coco_lvis: code": Case("coco_lvis", coco_lvis(pickle.dumps(Touch())), "01.pickle"),
    "coco_lvis: code in an array": Case(
        "coco_lvis", coco_lvis(pickle.dumps(([np.array([Touch()], object)], [(0, 1)]))), "01.pickle"
    ),
    "coco_lvis: code in the index": Case(
        "coco_lvis", coco_lvis(layer(png(SIZE_HW)), pickle.dumps({"1": Touch()})), "hannotation"
    ),
    "coco_lvis: bytes that are promised": Case(
        "coco_lvis", coco_lvis(b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"."), "01.pickle"
    ),
    "coco_lvis: a million lists in one another": Case(
        "coco_lvis", coco_lvis(b"\x80\x04" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"."), "01.pickle"
    ),
    "coco_lvis: a layer of ten gigapixels": Case("coco_lvis", coco_lvis(layer(HUGE)), "01.pickle"),
    "coco_lvis: a layer of another size": Case("coco_lvis", coco_lvis(layer(LARGE)), "01.pickle"),
    "coco_lvis: JSON of a gigabyte": Case(
        "coco_lvis", gigabyte_of_json("annotations/lvis_v1_val.json", PANOPTIC), "lvis_v1_val.json"
    ),
    "coco_lvis: a panoptic JSON of a gigabyte": Case(
        "coco_lvis", gigabyte_of_json(PANOPTIC, "annotations/lvis_v1_val.json"), "panoptic_val"
    ),
}  # fmt: skip
