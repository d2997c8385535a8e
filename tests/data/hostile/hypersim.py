"""Hypersim: an HDF5 file of numbers beside each preview."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.data.hostile.making import HUGE, SIZE_HW, Build, Case, jpeg, write, zeros


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


CASES = {
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
}  # fmt: skip


CONTROLS = {
    "hypersim": Case(
        "hypersim",
        hypersim(lambda f: f.create_dataset("dataset", data=np.eye(12, 16, dtype=np.int16))),
        "read 1",
    ),
}
