import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from maskspace.download import archives
from maskspace.download.archives import (
    DamagedError,
    check_name,
    merge,
    open_zip,
    unpack,
    zip_members,
)

FILES = {
    "top/a.txt": b"first",
    "top/deep/b.bin": np.random.default_rng(0).bytes(200_000),
    "top/empty": b"",
    "aside.txt": b"beside",
}


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS = {
    "a.zip": write_zip,
    "a.stored.zip": lambda path, files: write_zip(path, files, zipfile.ZIP_STORED),
    "a.tgz": write_tar,
    "a.tar": lambda path, files: write_tar(path, files, "w"),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_packed_comes_out(tmp_path, name):
    archive = WRITERS[name](tmp_path / name, FILES)
    found = unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert found == sorted(tmp_path / "out" / file for file in FILES)


def test_a_leading_folder_is_dropped_and_what_is_outside_is_left(tmp_path):
    archive = write_zip(tmp_path / "a.zip", FILES)
    unpack(archive, tmp_path / "out", strip="top")
    assert set(contents(tmp_path / "out")) == {"a.txt", "deep/b.bin", "empty"}
    unpack(archive, tmp_path / "out", strip="elsewhere")
    assert contents(tmp_path / "out") == FILES


def test_leavings_of_a_mac_are_left_out(tmp_path):
    junk = {"__MACOSX/top/._a.txt": b"", "top/._a.txt": b"", "top/.DS_Store": b""}
    unpack(write_zip(tmp_path / "a.zip", junk | FILES), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_archives_inside_are_unpacked_beside_themselves(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", {"masks/1.png": b"1"}).read_bytes()
    archive = write_zip(tmp_path / "a.zip", {"x/inner.zip": inner, "x/other.zip": inner})
    unpack(archive, tmp_path / "out", nested=("x/inner.zip", "x/absent.zip"))
    assert set(contents(tmp_path / "out")) == {"x/masks/1.png", "x/other.zip"}


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "C:/x", "..", "a\\..\\x", "a/\0", "a\nb", "", "x" * 300]
)
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(ValueError, match=r"^a\.zip: the name .* leaves the archive") as caught:
        check_name(name, archive="a.zip")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped"])
@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_is_written_when_one_name_is_hostile(tmp_path, kind, name):
    folder = tmp_path / "in"
    folder.mkdir()
    archive = WRITERS[kind](folder / kind, {"good": b"1", name: b"2"})
    with pytest.raises(ValueError, match="do not trust this file"):
        unpack(archive, folder / "out")
    assert contents(tmp_path) == {f"in/{kind}": archive.read_bytes()}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match=r"a\.zip:link: a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, mode):
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", mode) as archive:
        archive.addfile(info)
    with pytest.raises(ValueError, match=r"a\.tar:link: not a plain file"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": b"1"})
    packed = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        packed[packed.index(signature) + offset] |= 1
    path.write_bytes(bytes(packed))
    with pytest.raises(ValueError, match=r"a\.zip:a: encrypted"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_method_whose_reads_are_not_bounded_is_refused(tmp_path, method):
    path = write_zip(tmp_path / "a.zip", {"a": b"1"}, method)
    with pytest.raises(ValueError, match=r"a\.zip:a: .* neither stored nor deflated"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("x/../a", "b"), ("a//b", "a/b"), ("./a", "a")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_for_one_place_are_refused(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, name)
    with pytest.raises(ValueError, match="do not trust this"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", ["a.zip", "a.tgz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "SLACK", 100_000)
    archive = WRITERS[kind](tmp_path / kind, {"zeros": bytes(30_000_000)})
    with pytest.raises(ValueError, match=r"unpacks? to .*do not trust this file"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_that_says_too_little_gives_no_more(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(1_000_000)})
    packed = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        start = packed.index(signature) + offset
        packed[start : start + 4] = struct.pack("<I", 10)
    path.write_bytes(bytes(packed))
    with pytest.raises(DamagedError, match=r"out/zeros: damaged in its archive"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_members_over_one_another_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": b"1" * 50_000, "b": b"2" * 50_000})
    packed = bytearray(path.read_bytes())
    second = packed.rindex(b"PK\1\2")
    packed[second + 42 : second + 46] = struct.pack("<I", 0)  # the header of b is that of a
    path.write_bytes(bytes(packed))
    with pytest.raises(ValueError, match=r"damaged|no whole zip"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, kind, share):
    archive = WRITERS[kind](tmp_path / kind, FILES)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=str(archive)) as caught:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["a.zip", "a.stored.zip", "a.tgz"])
def test_a_changed_byte_is_caught(tmp_path, kind):
    archive = WRITERS[kind](tmp_path / kind, {"a.bin": FILES["top/deep/b.bin"]})
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_directory_of_a_zip_is_bounded(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", {f"{n:04d}": b"" for n in range(2000)})
    monkeypatch.setattr(archives, "MAX_DIRECTORY", 99_999)
    said = r"a\.zip: no whole zip \(a directory of \d+ bytes"
    with pytest.raises(ValueError, match=said), open_zip(archive):
        pass


def test_a_gzip_of_something_else_is_refused(tmp_path):
    archive = tmp_path / "a.tgz"
    archive.write_bytes(gzip.compress(os.urandom(5000)))
    with pytest.raises(ValueError, match=r"a\.tgz: "):
        unpack(archive, tmp_path / "out")


def test_members_say_size_crc_and_what_they_take(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(1000)})
    with open_zip(path) as opened:
        (member,) = zip_members(opened, path.stat().st_size, name="a.zip")
    assert (member.name, member.size) == ("zeros", 1000) and member.packed_size < 100
    assert member.crc == zlib.crc32(bytes(1000))


def test_a_folder_is_merged_into_what_is_there(tmp_path):
    for name, content in (
        ("from/a/1", "new"),
        ("from/b/2", "2"),
        ("to/a/1", "old"),
        ("to/a/3", "3"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    merge(tmp_path / "from", tmp_path / "to")
    assert contents(tmp_path) == {"to/a/1": b"new", "to/a/3": b"3", "to/b/2": b"2"}


def test_folders_are_merged_into_one_at_the_same_time(tmp_path):
    threads, rounds = 4, 100
    for turn in range(rounds):
        for number in range(threads):
            inner = tmp_path / f"from{turn}-{number}" / "a" / "b"
            inner.mkdir(parents=True)
            (inner / f"{number}.txt").write_text("x")
    start = Barrier(threads)

    def one(number: int) -> None:
        for turn in range(rounds):
            start.wait(timeout=10)
            merge(tmp_path / f"from{turn}-{number}", tmp_path / f"to{turn}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(threads)))
    for turn in range(rounds):
        assert len(list((tmp_path / f"to{turn}" / "a" / "b").iterdir())) == threads
    assert not list(tmp_path.glob("from*"))
