"""SA-1B: a JSON beside each image, in a folder or in tars."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np

from maskspace.masks import encode
from tests.data.hostile.making import HUGE, SIZE_HW, Build, Case, jpeg, sparse, tar_member, write


def record(**changes: object) -> dict:
    """Return an SA-1B record of one mask of the upper half."""
    upper = np.arange(12)[:, None] < 6 + np.zeros((1, 16), int)
    mask: dict = {"segmentation": {"size": list(SIZE_HW), "counts": encode(upper[None])[0]}}
    mask |= {"area": 96, "bbox": [0, 0, 15, 5], "predicted_iou": 1.0, "id": 1}
    image = {"image_id": 1, "width": 16, "height": 12, "file_name": "sa_1.jpg"}
    return {"image": image, "annotations": [mask | changes]}


def sa1b(label: bytes | dict, image: bytes | None = None) -> Build:
    def build(folder: Path) -> None:
        write(folder / "sa_1.jpg", image or jpeg())
        text = label if isinstance(label, bytes) else json.dumps(label).encode()
        write(folder / "sa_1.json", text)

    return build


def runs(counts: object, size: object = SIZE_HW) -> dict:
    return record(segmentation={"size": list(size), "counts": counts})  # pyright: ignore


def sa1b_of_a_gigabyte(folder: Path) -> None:
    write(folder / "sa_1.jpg", jpeg())
    sparse(folder / "sa_1.json", b'{"image": {', 1_200_000_000)


def sa1b_tar(*members: tuple[tarfile.TarInfo, bytes], size: int | None = None) -> Build:
    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        with tarfile.open(folder / "sa_0.tar", "w") as archive:
            for info, content in members:
                info.size = info.size or len(content)
                archive.addfile(info, io.BytesIO(content + bytes(max(0, info.size - len(content)))))
        if size is not None:
            os.truncate(folder / "sa_0.tar", size)

    return build


def tar_with_a_header_of_a_gigabyte(folder: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**30
    sparse(folder / "sa_0.tar", info.tobuf(tarfile.GNU_FORMAT), 2**30 + 4096)


CASES = {
    "sa1b: JSON of a gigabyte": Case("sa1b", sa1b_of_a_gigabyte, "sa_1.json"),
    "sa1b: JSON a million deep": Case("sa1b", sa1b(b'{"image":' + b"[" * 10**6), "sa_1.json"),
    "sa1b: a number of a million digits": Case(
        "sa1b", sa1b(b'{"image":{"width":' + b"9" * 10**6), "sa_1.json"
    ),
    "sa1b: sizes that are no number": Case(
        "sa1b", sa1b(json.dumps(record(area=float("nan"))).encode()), "sa_1.json"
    ),
    "sa1b: a score that is no number": Case(
        "sa1b", sa1b(json.dumps(record(predicted_iou=float("nan"))).encode()), "sa_1.json"
    ),
    "sa1b: runs that overflow": Case("sa1b", sa1b(runs("o" * 12 + "0" + "0" * 9)), "sa_1.json"),
    "sa1b: one run of a million digits": Case("sa1b", sa1b(runs("o" * 10**6 + "0")), "sa_1.json"),
    "sa1b: plain runs that overflow": Case("sa1b", sa1b(runs([2**63, 2**63])), "sa_1.json"),
    "sa1b: plain runs below zero": Case("sa1b", sa1b(runs([-192, 384])), "sa_1.json"),
    "sa1b: a mask of a terapixel": Case(
        "sa1b", sa1b(runs([0, 10**12], (10**6, 10**6))), "sa_1.json"
    ),
    "sa1b: an image of ten gigapixels": Case("sa1b", sa1b(record(), HUGE), "sa_1.jpg"),
    "sa1b: a tar that climbs": Case(
        "sa1b", sa1b_tar((tar_member("../sa_1.jpg"), jpeg())), "sa_0.tar"
    ),
    "sa1b: a tar with an absolute name": Case(
        "sa1b", sa1b_tar((tar_member("/etc/sa_1.jpg"), jpeg())), "sa_0.tar"
    ),
    "sa1b: a tar with a link": Case(
        "sa1b", sa1b_tar((tar_member("sa_1.jpg", tarfile.SYMTYPE, "/etc/passwd"), b"")), "sa_0.tar"
    ),
    "sa1b: a tar with a device": Case(
        "sa1b", sa1b_tar((tar_member("sa_1.jpg", tarfile.CHRTYPE), b"")), "sa_0.tar"
    ),
    "sa1b: a tar cut short": Case(
        "sa1b", sa1b_tar((tar_member("sa_1.jpg"), jpeg()), size=700), "sa_0.tar"
    ),
    "sa1b: a tar header of a gigabyte": Case("sa1b", tar_with_a_header_of_a_gigabyte, "sa_0.tar"),
}  # fmt: skip


CONTROLS = {
    "sa1b": Case("sa1b", sa1b(record()), "read 1"),
    "sa1b in a tar": Case(
        "sa1b",
        sa1b_tar(
            (tar_member("./sa_1.jpg"), jpeg()),
            (tar_member("./sa_1.json"), json.dumps(record()).encode()),
        ),
        "read 1",
    ),
}
