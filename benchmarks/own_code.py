"""Our own readers of tars, pickles, HDF5 and HTTP against the libraries: CPU time, memory, bytes.

    python -m benchmarks.own_code [--repeats 5]

Each pair reads the same files and gives the same content, which is checked first. CPU seconds are
the least of the repeats, which take turns; memory is the peak of Python's allocator (`tracemalloc`)
in one more reading. The tar has as many members as a shard of SA-1B; the pickle is an index of
COCO+LVIS's size; the HDF5 file is a label map of HyperSim. Then files that are made to be a
trap, and by how many megabytes a process that reads them grows.
Of HTTP the bytes that are sent are counted, where a server ends each answer after a part of it.
"""

import argparse
import io
import multiprocessing
import pickle
import resource
import tarfile
import tempfile
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import psutil
import requests

from maskspace.data.readers.hdf5 import read_array
from maskspace.data.readers.plain_pickle import read_plain_pickle
from maskspace.data.tars import members
from maskspace.download.remote_body import Body
from maskspace.download.transport import Transport

MEMBERS, INDEX, SIZE_HW = 22_000, 10_000, (768, 1024)
SENT, PART = 8 * 2**20, 2**20
Read = Callable[[], Any]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{'':8} {'own ms':>9} {'library ms':>11} {'own MB':>8} {'library MB':>11}")
    with tempfile.TemporaryDirectory() as name:
        compare("tar", *tar(Path(name, "a.tar")), repeats=repeats)
        compare("pickle", *index(), repeats=repeats)
        compare("hdf5", *label_map(), repeats=repeats)
    show_traps()
    show_resumed()


def compare(name: str, own: Read, library: Read, *, repeats: int) -> None:
    """Print CPU time and peak memory of two ways to read one thing."""
    assert repr(own())[:10_000] == repr(library())[:10_000], name
    seconds: dict[Read, list[float]] = {own: [], library: []}
    for _ in range(repeats):
        for read, found in seconds.items():
            begin = time.process_time()
            read()
            found.append(time.process_time() - begin)
    ours, theirs = (1e3 * min(found) for found in seconds.values())
    print(f"{name:8} {ours:9.1f} {theirs:11.1f} {peak(own):8.1f} {peak(library):11.1f}", flush=True)


def peak(read: Read) -> float:
    """Return the most megabytes that a reading holds; an error ends it."""
    tracemalloc.start()
    with suppress(ValueError, MemoryError, OSError, pickle.UnpicklingError, tarfile.TarError):
        read()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def tar(path: Path) -> tuple[Read, Read]:
    """Return readers of the places of a tar's members."""
    with tarfile.open(path, "w") as file:
        for number in range(MEMBERS):
            info = tarfile.TarInfo(f"./sa_{number:08d}.json")
            info.size = 700
            file.addfile(info, io.BytesIO(bytes(700)))

    def library() -> list[tuple[str, int, int]]:
        with tarfile.open(path) as file:
            return [(one.name[2:], one.offset_data, one.size) for one in file]

    return lambda: [(one.name, one.offset, one.size) for one in members(path)], library


class Restricted(pickle.Unpickler):
    """The way of Python's manual: an unpickler that finds the classes of numpy's arrays alone."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class of numpy."""
        if module.partition(".")[0] == "numpy" and name in ("dtype", "ndarray", "_reconstruct"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def index() -> tuple[Read, Read]:
    """Return readers of an index with a tree of masks for each image."""
    made: dict[str, Any] = {
        f"{number:012d}": {
            "num_instance_masks": 10,
            "hierarchy": {k: {"children": [k], "parent": None} for k in range(10)},
        }
        for number in range(INDEX)
    }
    content = pickle.dumps(made | {"array": np.arange(9)}, protocol=4)
    return (
        lambda: read_plain_pickle(content, name="index", max_objects=30_000_000),
        lambda: Restricted(io.BytesIO(content)).load(),
    )


def label_map() -> tuple[Read, Read]:
    """Return readers of a label map in chunks, as HyperSim writes it."""
    labels = np.kron(np.random.default_rng(0).integers(-1, 99, (24, 32)), np.ones((32, 32)))
    return readers(hdf5(labels.astype(np.int16)))


def readers(content: bytes) -> tuple[Read, Read]:
    """Return readers of an array of a known shape and type."""

    def library() -> Any:
        with h5py.File(io.BytesIO(content), "r") as file:
            found = cast("h5py.Dataset", file["dataset"])
            if found.shape != SIZE_HW or found.dtype != np.int16:
                raise ValueError("another shape or type")
            return np.asarray(found)

    return lambda: read_array(
        content, dataset="dataset", dtype=np.int16, size_hw=SIZE_HW, name="a.hdf5"
    ), library


def hdf5(array: np.ndarray) -> bytes:
    """Return a file with a gzipped array."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("dataset", data=array, compression="gzip", chunks=True)
    return buffer.getvalue()


def resident(read: Read) -> float:
    """Return the megabytes by which a process of its own grows at most; an error ends it."""
    mine, theirs = multiprocessing.get_context("fork").Pipe()

    def grow() -> None:
        begin = psutil.Process().memory_info().rss
        with suppress(ValueError, MemoryError, OSError, pickle.UnpicklingError, tarfile.TarError):
            read()
        theirs.send(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin)

    child = multiprocessing.get_context("fork").Process(target=grow)
    child.start()
    grown = mine.recv()
    child.join()
    return max(0, grown) / 1e6


def show_traps() -> None:
    """Print the memory that small files ask for."""
    print(f"\n{'a trap':8} {'bytes':>9} {'own MB':>8} {'library MB':>11}")
    with tempfile.TemporaryDirectory() as name:
        traps = {
            "tar": tar_trap(Path(name, "a.tar")),
            "pickle": pickle_trap(),
            "hdf5": chunk_trap(),
        }
        for kind, (size, own, library) in traps.items():
            print(f"{kind:8} {size:9} {resident(own):8.1f} {resident(library):11.1f}", flush=True)


def tar_trap(path: Path) -> tuple[int, Read, Read]:
    """Return readers of a tar whose first name has 128 MB, of which none is written."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**27
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(512 + 2**27)

    def library() -> None:
        with tarfile.open(path) as opened:
            opened.getmembers()

    return 512 * path.stat().st_blocks, lambda: members(path), library


def pickle_trap() -> tuple[int, Read, Read]:
    """Return readers of a pickle that asks numpy for an array of two gigabytes, full of zeros."""
    content = b"\x80\x04cnumpy\nndarray\n(\x8a\x04\x00\x00\x00\x10tR."

    def library() -> None:
        Restricted(io.BytesIO(content)).load()[:] = 0

    own = lambda: read_plain_pickle(content, name="a", max_objects=10**6)  # noqa: E731
    return len(content), own, library


def chunk_trap() -> tuple[int, Read, Read]:
    """Return readers of a label map of the right shape, with a chunk that unpacks to 512 MB."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        made = file.create_dataset(
            "dataset", shape=SIZE_HW, dtype=np.int16, compression="gzip", chunks=SIZE_HW
        )
        made.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**29)))
    content = buffer.getvalue()
    own, library = readers(content)
    return len(content), own, library


def show_resumed() -> None:
    """Print the bytes that a server has to send until a file is whole, of answers that break."""
    with server() as (url, sent):
        with Transport(show=False) as transport:
            body = Body(transport, url)
            while body.read_some():
                pass
        ours, sent[:] = sum(sent), []
        again = 0
        for _ in range(20):  # what requests does: the request that fails is made again
            try:
                again += len(requests.get(url, timeout=9).content)
                break
            except requests.RequestException:
                continue
        print(f"\nHTTP: {SENT >> 20} MiB in answers that break after {PART >> 20} MiB:")
        print(f"own: whole after {ours / 2**20:.1f} MiB; requests: {again} bytes", end="")
        print(f" after {sum(sent) / 2**20:.0f} MiB and 20 requests")


@contextmanager
def server() -> Iterator[tuple[str, list[int]]]:
    """Give a URL whose answers break after PART bytes, and the bytes that were sent."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
            first = int(asked.partition("-")[0])
            self.send_response(206 if "Range" in self.headers else 200)
            if "Range" in self.headers:
                self.send_header("Content-Range", f"bytes {first}-{SENT - 1}/{SENT}")
            self.send_header("Content-Length", str(SENT - first))
            self.send_header("ETag", '"1"')
            self.end_headers()
            part = min(PART, SENT - first)
            self.wfile.write(bytes(part))
            sent.append(part)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/a.zip", sent
    finally:
        serving.shutdown()
        serving.server_close()


if __name__ == "__main__":
    main()
