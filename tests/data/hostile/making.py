"""What files made to harm are made of."""

import io
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

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


def gigabyte_of_json(path: str, *others: str) -> Build:
    def build(folder: Path) -> None:
        sparse(folder / path, b"{", 1_200_000_000)
        for other in others:
            write(folder / other, b'{"images": [], "annotations": []}')

    return build


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


class Touch:
    """What a pickle calls when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch ran",)
