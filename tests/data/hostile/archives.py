"""Zips and tars to unpack."""

import gzip
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

from tests.data.hostile.making import Build, Case, sparse, tar_member, write, zeros


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


CASES = {
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


CONTROLS = {
    "unpack": Case("unpack", zipped("a.zip", "a/b", b"1"), "read 1", "a.zip"),
}
