"""Files made to harm, through every reader as users call it, with little memory and time to spare.

One process imports the readers; each case runs in a fork of it that may take 256 MiB more than it
has, and ten seconds. What a single function refuses is tested beside that function.
"""

import gzip
import io
import json
import os
import pickle
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from maskspace.masks import encode

MORE_BYTES = 256 * 2**20
SECONDS = 10
SIZE_HW = (12, 16)

Build = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A dataset to read (or an archive to unpack), and what the one line has to name."""

    kind: str
    build: Build
    named: str
    root: str = ""
    options: tuple[tuple[str, object], ...] = ()


RUN = """
import json, os, resource, signal, sys
from pathlib import Path
from maskspace.data import READERS
from maskspace.download.archives import unpack

def attempt(kind, root, options):
    if kind == "unpack":
        return unpack(Path(root), Path(root).with_name("out"))
    return list(READERS[kind](root, seed=0, limit=None, **options))

def bounded(case, more, seconds):
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.alarm(seconds)
    try:
        said = f"read {len(attempt(*case))}"
        kind = "nothing"
    except BaseException as error:
        kind, said = type(error).__name__, str(error)
    return {"kind": kind, "said": said[:2000]}

for name, case in json.load(sys.stdin).items():
    get, put = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(put, json.dumps(bounded(case, int(sys.argv[1]), int(sys.argv[2]))).encode())
        os._exit(0)
    os.close(put)
    said = b""
    while piece := os.read(get, 65536):
        said += piece
    os.close(get)
    status = os.waitpid(child, 0)[1]
    print(json.dumps([name, json.loads(said) if said else {"kind": f"died {status}", "said": ""}]))
"""


def jpeg(size_hw: tuple[int, int] = SIZE_HW) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size_hw[::-1], (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(
        ">I", zlib.crc32(name + content)
    )  # fmt: skip


def png(size_hw: tuple[int, int], *, more: bytes = b"", rows: int = 0) -> bytes:
    """Return a grey PNG that says it is of this size, and holds zeros of some rows."""
    head = struct.pack(">IIBBBBB", size_hw[1], size_hw[0], 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((size_hw[1] + 1) * rows), 1)
    parts = chunk(b"IHDR", head) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def zeros(mebibytes: int) -> bytes:
    """Return a zlib stream of zeros, at little cost: its blocks are copies of one."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * mebibytes


HUGE = png((100_000, 100_000), rows=500)
LARGE = png((12_000, 12_000), rows=12_000)
TEXT = png(SIZE_HW, more=chunk(b"zTXt", b"a\0\0" + zeros(1024)), rows=12)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sparse(path: Path, content: bytes, size: int) -> Path:
    """Write a file that is `size` long and holds nothing after `content`."""
    write(path, content)
    os.truncate(path, size)
    return path


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


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def tar_with_a_header_of_a_gigabyte(folder: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**30
    sparse(folder / "sa_0.tar", info.tobuf(tarfile.GNU_FORMAT), 2**30 + 4096)


def hypersim(make: Callable[[h5py.File], None] | bytes, image: bytes | None = None) -> Build:
    def build(folder: Path) -> None:
        images = folder / "ai_001_001/images"
        write(images / "scene_cam_00_final_preview/frame.0000.color.jpg", image or jpeg())
        path = images / "scene_cam_00_geometry_hdf5/frame.0000.render_entity_id.hdf5"
        if isinstance(make, bytes):
            write(path, make)
            return
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            make(file)

    return build


def inflating(file: h5py.File) -> None:
    made = file.create_dataset(
        "dataset", SIZE_HW, np.int16, chunks=SIZE_HW, compression="gzip", compression_opts=9
    )
    made.id.write_direct_chunk((0, 0), zeros(1024))


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


def gigabyte_of_json(path: str, *others: str) -> Build:
    def build(folder: Path) -> None:
        sparse(folder / path, b"{", 1_200_000_000)
        for other in others:
            write(folder / other, b'{"images": [], "annotations": []}')

    return build


def sav(counts: object) -> Build:
    """Return the builder of a video of one frame, whose one mask has these run lengths."""

    def build(folder: Path) -> None:
        write(folder / "sav_000001/00000.jpg", jpeg())
        one = {"size": list(SIZE_HW), "counts": counts}
        record = {"video_id": "sav_000001", "video_frame_count": 1.0, "masklet": [[one]]}
        write(folder / "sav_000001_manual.json", json.dumps(record).encode())

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


class Touch:
    """What a pickle calls when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch ran",)


def coco_lvis(masks: bytes, index: bytes | None = None) -> Build:
    def build(folder: Path) -> None:
        write(folder / "train/images/000000000001.jpg", jpeg())
        write(folder / "train/masks/000000000001.pickle", masks)
        node = {"000000000001": {"num_instance_masks": 1, "hierarchy": {0: None}}}
        write(folder / "train/hannotation.pickle", index or pickle.dumps(node))

    return build


def layer(content: bytes) -> bytes:
    return pickle.dumps(([np.frombuffer(content, np.uint8)], [(0, 1)]))


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


def zipped(path: str, name: str, content: bytes) -> Build:
    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(name, content)

    return build


def zip_with_a_directory_of_a_gigabyte(folder: Path) -> None:
    size = 2**30
    path = sparse(folder / "a.zip", b"PK\1\2", size)
    with path.open("ab") as file:
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 9, 9, size, 0, 0))


def gzip_of_a_gigabyte(folder: Path) -> None:
    write(folder / "a.tgz", gzip.compress(b"")[:10] + zeros(1024)[2:])


def links(path: str, kind: bytes | int) -> Build:
    """Return the builder of an archive of a link to the folder above, and of a file through it."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        if isinstance(kind, int):
            info = zipfile.ZipInfo("to")
            info.external_attr = (kind | 0o777) << 16
            with zipfile.ZipFile(folder / path, "w") as archive:
                archive.writestr(info, "..")
                archive.writestr("to/escaped", b"1")
            return
        with tarfile.open(folder / path, "w:gz" if path.endswith("gz") else "w") as archive:
            archive.addfile(tar_member("to", kind, ".."))
            archive.addfile(tar_member("to/escaped"))

    return build


def tarred(path: str, name: str) -> Build:
    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        with tarfile.open(folder / path, "w:gz" if path.endswith("gz") else "w") as archive:
            archive.addfile(tar_member(name))

    return build


PANOPTIC = "annotations/panoptic_val2017.json"

MASKS = {
    "bsds500": ("train/images/1.jpg", "train/groundTruth/1_a0.png"),
    "camvid": ("train/1.jpg", "trainannot/1.png"),
    "davis": ("JPEGImages/480p/a/00000.jpg", "Annotations/480p/a/00000.png"),
    "davis_interactive": ("img/1.jpg", "gt/1.png"),
    "dsb2018": ("train/images/1.png", "train/labels/1.png"),
    "folder": ("images/1.jpg", "labels/1.png"),
    "grabcut": ("data_GT/1.jpg", "boundary_GT/1.png"),
}

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
    "hypersim: no HDF5": Case("hypersim", hypersim(b"\x89HDF\r\n\x1a\n" + bytes(99)), ".hdf5"),
    "hypersim: floats": Case(
        "hypersim", hypersim(lambda f: f.create_dataset("dataset", data=np.zeros(SIZE_HW))), ".hdf5"
    ),
    "hypersim: texts": Case(
        "hypersim",
        hypersim(lambda f: f.create_dataset("dataset", SIZE_HW, h5py.string_dtype())),
        ".hdf5",
    ),
    "hypersim: a terapixel": Case(
        "hypersim",
        hypersim(lambda f: f.create_dataset("dataset", (10**6, 10**6), np.int16, chunks=(64, 64))),
        ".hdf5",
    ),
    "hypersim: a link to another file": Case(
        "hypersim",
        hypersim(lambda f: f.__setitem__("dataset", h5py.ExternalLink("/etc/passwd", "/x"))),
        ".hdf5",
    ),
    "hypersim: a chunk of a gigabyte": Case("hypersim", hypersim(inflating), ".hdf5"),
    "hypersim: an image of ten gigapixels": Case(
        "hypersim",
        hypersim(lambda f: f.create_dataset("dataset", SIZE_HW, np.int16), HUGE),
        "frame.0000.color.jpg",
    ),
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
    "sav: JSON of a gigabyte": Case(
        "sav",
        gigabyte_of_json("sav_000001_manual.json"),
        "sav_000001_manual.json",
    ),
    "sav: runs that overflow": Case("sav", sav("o" * 12 + "000"), "sav_000001_manual.json"),
    "sav: plain runs that overflow": Case("sav", sav([2**63, 1]), "sav_000001_manual.json"),
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
    "folder: a text of a gigabyte in a PNG": Case(
        "folder", pairs(*MASKS["folder"])(TEXT), "1.png"
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
    "unpack: a zip that climbs": Case(
        "unpack", zipped("a.zip", "../escaped", b"1"), "a.zip", "a.zip"
    ),
    "unpack: a zip with an absolute name": Case(
        "unpack", zipped("a.zip", "/tmp/escaped", b"1"), "a.zip", "a.zip"
    ),
    **{
        f"unpack: {words} in {path}": Case("unpack", build, path, path)
        for path in ("a.tar", "a.tgz")
        for words, build in (
            ("a name that climbs", tarred(path, "../escaped")),
            ("an absolute name", tarred(path, "/tmp/escaped")),
            ("a link", links(path, tarfile.SYMTYPE)),
            ("a hard link", links(path, tarfile.LNKTYPE)),
            ("a device", links(path, tarfile.CHRTYPE)),
        )
    },
    "unpack: a link in a zip": Case("unpack", links("a.zip", stat.S_IFLNK), "a.zip", "a.zip"),
    "unpack: a device in a zip": Case("unpack", links("a.zip", stat.S_IFCHR), "a.zip", "a.zip"),
    "unpack: a zip of 400 megabytes": Case(
        "unpack", zipped("a.zip", "zeros", bytes(4 * 10**8)), "a.zip", "a.zip"
    ),
    "unpack: a zip with a directory of a gigabyte": Case(
        "unpack", zip_with_a_directory_of_a_gigabyte, "a.zip", "a.zip"
    ),
    "unpack: a gzip of a gigabyte": Case("unpack", gzip_of_a_gigabyte, "a.tgz", "a.tgz"),
}  # fmt: skip


#: The same layouts without harm, so that a refusal is one of the harm.
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
    "hypersim": Case(
        "hypersim",
        hypersim(lambda f: f.create_dataset("dataset", data=np.eye(12, 16, dtype=np.int16))),
        "read 1",
    ),
    "coco": Case("coco", polygon(0, 0, 9, 0, 9, 9), "read 1"),
    "folder": Case(
        "folder",
        pairs("images/1.jpg", "labels/1.npz")(npz(array=np.eye(12, 16, dtype=int))),
        "read 1",
    ),
    "camvid": Case("camvid", pairs(*MASKS["camvid"])(png(SIZE_HW, rows=12)), "read 1"),
    "unpack": Case("unpack", zipped("a.zip", "a/b", b"1"), "read 1", "a.zip"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What each case came to, and the folder it ran in."""
    root = tmp_path_factory.mktemp("hostile")
    asked = {}
    for number, (name, case) in enumerate((CASES | CONTROLS).items()):
        folder = root / f"{number:03d}"
        case.build(folder)
        asked[name] = [case.kind, str(folder / case.root), dict(case.options)]
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(MORE_BYTES), str(SECONDS)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=root,
        timeout=240,
        check=True,
    )
    found = dict(map(json.loads, run.stdout.splitlines()))
    assert found.keys() == (CASES | CONTROLS).keys()
    strays = [str(path) for name in ("ran", "escaped") for path in root.rglob(name)]
    strays += [str(path) for path in root.glob("*/out") if not (path / "a/b").is_file()]
    return found | {"strays": {"kind": "", "said": " ".join(strays)}}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_one_line(outcomes, name):
    outcome = outcomes[name]
    assert outcome["kind"] == "ValueError", outcome["said"]
    assert CASES[name].named in outcome["said"]
    assert "\n" not in outcome["said"] and len(outcome["said"]) < 500


def test_nothing_was_run_or_left_anywhere(outcomes):
    assert outcomes["strays"]["said"] == ""


@pytest.mark.parametrize("name", CONTROLS)
def test_a_harmless_file_is_read_within_the_same_bounds(outcomes, name):
    assert outcomes[name] == {"kind": "nothing", "said": CONTROLS[name].named}
