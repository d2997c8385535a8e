import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from maskspace.data.readers.hdf5 import read_array

IDS = np.random.default_rng(0).integers(-1, 300, (37, 53)).astype(np.int16)


def read(path: Path, size_hw: tuple[int, int] = (37, 53)) -> np.ndarray:
    return read_array(
        path.read_bytes(), dataset="dataset", dtype=np.int16, size_hw=size_hw, name=path.name
    )


STORED = {
    "as HyperSim is": {"compression": "gzip", "compression_opts": 9},
    "shuffled": {"compression": "gzip", "shuffle": True},
    "shuffled alone": {"shuffle": True, "chunks": (8, 8)},
    "in small chunks": {"compression": "gzip", "chunks": (5, 7)},
    "plain in chunks": {"chunks": (16, 16)},
    "contiguous": {},
    "free to grow": {"maxshape": (None, None), "chunks": (64, 64), "compression": "gzip"},
}


@pytest.mark.parametrize("how", STORED)
def test_every_usual_way_to_store_an_array_reads_as_h5py_does(tmp_path: Path, how: str) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("dataset", data=IDS, **STORED[how])
    assert (read(tmp_path / "x.hdf5") == IDS).all()


def test_chunks_that_are_not_kept_hold_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        made = file.create_dataset("dataset", (37, 53), np.int16, chunks=(16, 16), fillvalue=-1)
        made[:16, :16] = IDS[:16, :16]
    expected = np.full((37, 53), -1, np.int16)
    expected[:16, :16] = IDS[:16, :16]
    assert (read(tmp_path / "x.hdf5") == expected).all()


def test_a_real_file_of_the_release_reads_as_h5py_does(assets: Path) -> None:
    folder = assets / "hypersim/ai_001_001/images/scene_cam_00_geometry_hdf5"
    for path in folder.glob("*.hdf5"):
        with h5py.File(path) as file:
            expected = np.asarray(file["dataset"])
        assert (read(path, (768, 1024)) == expected).all()
    (depth,) = (assets / "hypersim/official_hdf5_sample").rglob("*.depth_meters.hdf5")
    with h5py.File(depth) as file:
        expected = np.asarray(file["dataset"])
    found = read_array(
        depth.read_bytes(), dataset="dataset", dtype=np.float16, size_hw=(768, 1024), name="x"
    )
    assert np.array_equal(found, expected, equal_nan=True)


def group(file: h5py.File, path: Path) -> None:
    file.create_group("dataset")


def soft(file: h5py.File, path: Path) -> None:
    file["other"] = IDS
    file["dataset"] = h5py.SoftLink("/other")


def outside(file: h5py.File, path: Path) -> None:
    with h5py.File(path.with_name("secret.hdf5"), "w") as secret:
        secret["dataset"] = IDS
    file["dataset"] = h5py.ExternalLink("secret.hdf5", "/dataset")


def raw_outside(file: h5py.File, path: Path) -> None:
    path.with_name("secret").write_bytes(IDS.tobytes())
    file.create_dataset(
        "dataset", IDS.shape, IDS.dtype, external=[(str(path.with_name("secret")), 0, IDS.nbytes)]
    )


def virtual(file: h5py.File, path: Path) -> None:
    layout = h5py.VirtualLayout(IDS.shape, IDS.dtype)
    layout[:] = h5py.VirtualSource(str(path.with_name("secret.hdf5")), "dataset", IDS.shape)
    file.create_virtual_dataset("dataset", layout)


def another_type(file: h5py.File, path: Path) -> None:
    file["dataset"] = IDS.astype(np.int32)


def text(file: h5py.File, path: Path) -> None:
    file["dataset"] = "a text"


def another_shape(file: h5py.File, path: Path) -> None:
    file["dataset"] = IDS.T


def enormous(file: h5py.File, path: Path) -> None:
    file.create_dataset("dataset", (2**31, 2**31), np.int16, chunks=(64, 64), compression="gzip")


def large_chunks(file: h5py.File, path: Path) -> None:
    file.create_dataset(
        "dataset", IDS.shape, np.int16, chunks=(2**14, 2**14), maxshape=(None, None)
    )


def another_filter(file: h5py.File, path: Path) -> None:
    file.create_dataset("dataset", data=IDS, compression="lzf")


def elsewhere(file: h5py.File, path: Path) -> None:
    file["other"] = IDS


HOSTILE: dict[str, Callable[[h5py.File, Path], None]] = {
    "is a group, not an array": group,
    "is a link to elsewhere": soft,
    "is a link to elsewhere; do not trust this": outside,
    "is kept in other files": raw_outside,
    "is kept in other files; do not trust this": virtual,
    "holds int32, expected int16": another_type,
    "holds object, expected int16": text,
    r"is \(53, 37\), its preview is \(37, 53\)": another_shape,
    r"is \(2147483648, 2147483648\), its preview is": enormous,
    r"in chunks of \(16384, 16384\); do not trust": large_chunks,
    "coded by HDF5's filter 32000": another_filter,
    "has no dataset named 'dataset'": elsewhere,
}


@pytest.mark.parametrize("message", HOSTILE)
def test_what_is_not_the_array_is_refused_in_one_line(tmp_path: Path, message: str) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        HOSTILE[message](file, tmp_path / "x.hdf5")
    with pytest.raises(ValueError, match=rf"x\.hdf5: .*{message}") as told:
        read(tmp_path / "x.hdf5")
    assert "\n" not in str(told.value)


def test_a_chunk_that_inflates_to_more_than_it_should_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        made = file.create_dataset("dataset", (37, 53), np.int16, chunks=(37, 53), compression=9)
        made.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**28), 9))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"x\.hdf5: a chunk is larger than it says"):
        read(tmp_path / "x.hdf5")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_damaged_chunk_or_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.hdf5"
    for stored, message in ((b"not gzip", "a chunk is damaged"), (b"x\x9c\x03", "or cut")):
        with h5py.File(path, "w") as file:
            made = file.create_dataset(
                "dataset", (37, 53), np.int16, chunks=(37, 53), compression=9
            )
            made.id.write_direct_chunk((0, 0), stored)
        with pytest.raises(ValueError, match=message):
            read(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset", data=IDS, compression="gzip")
    content = path.read_bytes()
    for size in (0, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"x\.hdf5: ") as told:
            read(path)
        assert "\n" not in str(told.value)
