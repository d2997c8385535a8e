"""Datasets of a photo and a file of its mask or label map, PNG or NPZ."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.data.hostile.making import (
    HUGE,
    LARGE,
    SIZE_HW,
    TEXT,
    Build,
    Case,
    Touch,
    jpeg,
    png,
    write,
)

MASKS = {
    "bsds500": ("train/images/1.jpg", "train/groundTruth/1_a0.png"),
    "camvid": ("train/1.jpg", "trainannot/1.png"),
    "davis": ("JPEGImages/480p/a/00000.jpg", "Annotations/480p/a/00000.png"),
    "davis_interactive": ("img/1.jpg", "gt/1.png"),
    "dsb2018": ("train/images/1.png", "train/labels/1.png"),
    "folder": ("images/1.jpg", "labels/1.png"),
    "grabcut": ("data_GT/1.jpg", "boundary_GT/1.png"),
}


def pairs(image: str, mask: str) -> Callable[[bytes], Build]:
    """Return the builder of a dataset of one photo, given the bytes of its mask."""

    def of(content: bytes) -> Build:
        def build(folder: Path) -> None:
            write(folder / image, jpeg())
            write(folder / mask, content)

        return build

    return of


def npz(header: bytes = b"", array: np.ndarray | None = None) -> bytes:
    """Return an NPZ of an array, or of a header before 384 MB of zeros."""
    member = io.BytesIO()
    if array is not None:
        np.lib.format.write_array(member, array)
    else:
        member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        member.write(bytes(384 * 10**6))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("labels.npy", member.getvalue())
    return buffer.getvalue()


CASES = {
    "folder: pickled labels": Case(
        "folder",
        pairs("images/1.jpg", "labels/1.npz")(npz(array=np.array([[Touch()]], object))),
        "1.npz",
    ),
    "folder: labels of a terapixel": Case(
        "folder",
        pairs("images/1.jpg", "labels/1.npz")(
            npz(b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000, 1000000), }\n")
        ),
        "1.npz",
    ),
    "folder: a gigabyte behind a small header": Case(
        "folder",
        pairs("images/1.jpg", "labels/1.npz")(
            npz(b"{'descr': '<i8', 'fortran_order': False, 'shape': (12, 17), }\n")
        ),
        "1.npz",
    ),
    **{
        f"{kind}: a mask of {words}": Case(
            kind, pairs(*MASKS[kind])(content), MASKS[kind][1].rsplit("/", 1)[-1]
        )
        for kind in MASKS
        for words, content in (("ten gigapixels", HUGE), ("another size", LARGE))
    },
    "hqseg44k: a mask of ten gigapixels": Case(
        "hqseg44k",
        pairs("DIS5K/DIS-VD/im/1.jpg", "DIS5K/DIS-VD/gt/1.png")(HUGE),
        "1.png",
        options=(("subsets", ("dis-val",)),),
    ),
}  # fmt: skip


CONTROLS = {
    "folder: a text of a gigabyte in a PNG": Case(
        "folder", pairs(*MASKS["folder"])(TEXT), "read 1"
    ),
    "folder": Case(
        "folder",
        pairs("images/1.jpg", "labels/1.npz")(npz(array=np.eye(12, 16, dtype=int))),
        "read 1",
    ),
    "camvid": Case("camvid", pairs(*MASKS["camvid"])(png(SIZE_HW, rows=12)), "read 1"),
}
