"""Unpack archives that nobody has to trust: zips, tars and gzipped tars, whole or not at all.

Refused are names that would leave the folder, links and devices, members that come twice or are
encrypted, and archives that would unpack to more than `RATIO` times their size.
"""

import errno
import gzip
import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from maskspace.data.tars import members as tar_members
from maskspace.download.fetching import room_for
from maskspace.files import appearing

CHUNK = 2**20
#: Largest directory of a zip that is read, in bytes: that of COCO's train2017.zip has 12 MB.
MAX_DIRECTORY = 32 * 2**20
#: An archive unpacks to at most RATIO times its size and SLACK bytes: JSON shrinks to a tenth.
RATIO, SLACK = 100, 16 * 2**20
#: What zipfile, gzip and zlib raise for bytes that are no archive of theirs.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$)")


#: A file to read from its position on.
Bytes: TypeAlias = io.BufferedIOBase | io.RawIOBase


class DamagedError(ValueError):
    """The size or the CRC of a member is not what the archive says.

    Example:
        >>> import tempfile
        >>> member = PackedFile("a.txt", size=9, open=lambda: io.BytesIO(b"hello"))  # not 9 bytes
        >>> try:
        ...     write_member(member, Path(tempfile.mkdtemp(), "a.txt"))
        ... except DamagedError as error:
        ...     print(str(error).partition(": ")[2])
        damaged in its archive (it has fewer than its 9 bytes); fetch it again
    """


@dataclass(frozen=True)
class PackedFile:
    """A plain file in an archive.

    Args:
        name: its name in the archive.
        size: its number of bytes when unpacked.
        open: function that returns its unpacked bytes as an open file.
        crc: its CRC-32, which only a zip states (default None).
        packed_size: bytes that it takes in a zip (default 0).

    Example:
        >>> member = PackedFile("val/a.txt", size=5, open=lambda: io.BytesIO(b"hello"))
        >>> member.open().read(member.size)
        b'hello'
    """

    name: str
    size: int
    open: Callable[[], Bytes]
    crc: int | None = None
    packed_size: int = 0


def unpack(
    archive: Path, folder: Path, *, strip: str = "", nested: Iterable[str] = ()
) -> list[Path]:
    """Unpack an archive into a folder and return the files, sorted.

    Args:
        archive: a zip, a tar or a gzipped tar; its first bytes tell which.
        folder: made anew; what is in it is lost.
        strip: leading folder that is cut off the members' names; if some members are in it, the
            others are not unpacked (default: none).
        nested: names of archives in the archive; each is unpacked beside itself and then removed
            (default: none).

    Raises ValueError in one line for an archive that is damaged or hostile; the folder is then
    gone.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as written:
        ...     written.writestr("data/val/a.txt", "hello")
        >>> files = unpack(folder / "a.zip", folder / "unpacked", strip="data")
        >>> [path.relative_to(folder).as_posix() for path in files]
        ['unpacked/val/a.txt']
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _unpack_into(archive, folder, strip=strip)
        for name in nested:
            inner = folder / name
            if inner.is_file():
                _unpack_into(inner, inner.parent)
                inner.unlink()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _unpack_into(archive: Path, folder: Path, *, strip: str = "") -> None:
    with archive.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"PK":
        with open_zip(archive) as opened:
            _write_all(
                zip_members(opened, archive.stat().st_size, name=str(archive)), folder, strip
            )
    elif magic[:2] == b"\x1f\x8b":
        plain = folder / f".{archive.name}.tar"
        _gunzip(archive, plain)
        try:
            _write_all(_tar_members(plain, shown=archive), folder, strip)
        finally:
            plain.unlink(missing_ok=True)
    else:
        _write_all(_tar_members(archive, shown=archive), folder, strip)


@contextmanager
def open_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose directory has at most MAX_DIRECTORY bytes; it is closed after the block.

    Raises ValueError for a file that is no whole zip.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as written:
        ...     written.writestr("data/val/a.txt", "hello")
        >>> with open_zip(folder / "a.zip") as opened:
        ...     opened.namelist()
        ['data/val/a.txt']
    """
    with _BoundedReads(archive) as file:
        try:
            opened = zipfile.ZipFile(file)
        except DAMAGED as error:
            raise ValueError(f"{archive}: no whole zip ({error}); fetch it again") from None
        with opened:
            yield opened


class _BoundedReads(io.FileIO):
    """A file of which no read returns more than MAX_DIRECTORY bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > MAX_DIRECTORY:
            raise OSError(f"a directory of {size} bytes, the limit is {MAX_DIRECTORY}")
        return super().read(size)


def zip_members(opened: zipfile.ZipFile, archive_size: int, *, name: str) -> list[PackedFile]:
    """Return the plain files of an opened zip.

    Args:
        opened: the zip.
        archive_size: number of bytes of the zip, against which the unpacked sizes are checked.
        name: the name of the zip in errors.

    Raises ValueError that starts with `name` for a hostile zip.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as written:
        ...     written.writestr("data/val/a.txt", "hello")
        >>> with open_zip(folder / "a.zip") as opened:
        ...     members = zip_members(opened, (folder / "a.zip").stat().st_size, name="a.zip")
        >>> [(member.name, member.size) for member in members]
        [('data/val/a.txt', 5)]
    """
    infos = [info for info in opened.infolist() if not info.is_dir()]
    for info in infos:
        check_name(info.orig_filename, archive=name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ValueError(f"{name}:{info.filename}: a link or a device; do not trust this file")
        # only of these two methods zipfile bounds how much one read unpacks
        if info.flag_bits & 0x1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise ValueError(
                f"{name}:{info.filename}: encrypted, or neither stored nor deflated; pack it anew"
            )
    check_sizes((info.file_size for info in infos), archive_size, name=name)
    return [packed(opened, info) for info in infos]


def packed(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> PackedFile:
    """Return one member of an opened zip; it can be read as long as the zip is open.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as written:
        ...     written.writestr("data/val/a.txt", "hello")
        >>> with open_zip(folder / "a.zip") as opened:
        ...     member = packed(opened, opened.getinfo("data/val/a.txt"))
        ...     member.open().read(), member.crc == zlib.crc32(b"hello")
        (b'hello', True)
    """
    packed_size = info.compress_size + 30 + len(info.filename) + len(info.extra)  # with its header
    return PackedFile(
        info.filename, info.file_size, partial(_open, opened, info), info.CRC, packed_size
    )


def _open(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Bytes:
    member = opened.open(info)
    assert isinstance(member, io.BufferedIOBase)
    return member


def check_name(member: str, *, archive: str) -> PurePosixPath:
    """Return the path of a member.

    `archive` is the name of the archive in errors. Raises ValueError for a name that would leave
    the folder into which the archive is unpacked.

    Example:
        >>> check_name("val/a.jpg", archive="a.zip").parts
        ('val', 'a.jpg')
        >>> check_name("../a.jpg", archive="a.zip")
        Traceback (most recent call last):
            ...
        ValueError: a.zip: the name '../a.jpg' leaves the archive; do not trust this file
    """
    parts = member.split("/")
    if (
        ".." in parts
        or member.startswith("/")
        or re.match(r"[A-Za-z]:", member)
        or any(character in member for character in "\\\0\n\r")
        or not PurePosixPath(member).name
        or any(len(os.fsencode(part)) > 255 for part in parts)
    ):
        raise ValueError(
            f"{archive}: the name {member[:80]!r} leaves the archive; do not trust this file"
        )
    return PurePosixPath(member)


def check_sizes(sizes: Iterable[int], archive_size: int, *, name: str) -> int:
    """Return the sum of the sizes of unpacked members.

    `archive_size` is the number of bytes of the archive, `name` its name in errors. Raises
    ValueError where the sum is so large that no honest archive has it.

    Example:
        >>> check_sizes([1000, 2000], 500, name="a.zip")
        3000
        >>> check_sizes([10**12], 500, name="a.zip")
        Traceback (most recent call last):
            ...
        ValueError: a.zip: 500 bytes that unpack to 1000000000000; do not trust this file
    """
    total = sum(sizes)
    if total > RATIO * archive_size + SLACK:
        raise ValueError(
            f"{name}: {archive_size} bytes that unpack to {total}; do not trust this file"
        )
    return total


def _tar_members(archive: Path, *, shown: Path) -> list[PackedFile]:
    try:
        members = tar_members(archive)
    except ValueError as error:
        raise ValueError(str(error).replace(str(archive), str(shown))) from None
    for member in members:
        check_name(member.name, archive=str(shown))
    return [
        PackedFile(
            member.name,
            member.size,
            lambda member=member: _part(archive, member.offset, member.size),
        )
        for member in members
    ]


def _part(path: Path, offset: int, size: int) -> Bytes:
    file = _Part(path, "rb")
    file.seek(offset)
    file.left = size
    return file


class _Part(io.FileIO):
    """A file that ends after `left` more bytes."""

    left = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(self.left if size is None or size < 0 else min(size, self.left))
        self.left -= len(content)
        return content


def _gunzip(archive: Path, plain: Path) -> None:
    limit = RATIO * archive.stat().st_size + SLACK
    try:
        with gzip.open(archive) as source, room_for(0, plain), plain.open("wb") as target:
            written = 0
            while content := source.read(CHUNK):
                written += len(content)
                if written > limit:
                    raise ValueError(
                        f"{archive}: unpacks to more than {limit} bytes; do not trust this file"
                    )
                target.write(content)
    except DAMAGED as error:
        raise ValueError(f"{archive}: damaged ({error}); fetch it again") from None


def _write_all(members: list[PackedFile], folder: Path, strip: str) -> None:
    """Write the members under a folder; all their paths are checked before the first is written."""
    wanted = [member for member in members if not _JUNK.search(member.name)]
    leading = f"{strip}/"
    if strip and any(member.name.startswith(leading) for member in wanted):
        wanted = [member for member in wanted if member.name.startswith(leading)]
        places = [folder / member.name.removeprefix(leading) for member in wanted]
    else:
        places = [folder / member.name for member in wanted]
    check_distinct(places)
    with room_for(sum(member.size for member in wanted), folder / "unpacked"):
        for member, place in zip(wanted, places, strict=True):
            write_member(member, place)


def check_distinct(places: list[Path]) -> None:
    """Raise ValueError where two members would be written to one path.

    It also refuses a path that would be a file and a folder.

    Example:
        >>> check_distinct([Path("val/a.jpg"), Path("val/b.jpg")])  # nothing is wrong
        >>> check_distinct([Path("val/a.jpg"), Path("val/a.jpg")])
        Traceback (most recent call last):
            ...
        ValueError: val/a.jpg: twice in the archive; do not trust this file
    """
    distinct = set(places)
    if len(distinct) < len(places):
        repeated = next(place for place in places if places.count(place) > 1)
        raise ValueError(f"{repeated}: twice in the archive; do not trust this file")
    for place in places:
        if not distinct.isdisjoint(place.parents):
            raise ValueError(f"{place}: a file and a folder; do not trust this archive")


def write_member(member: PackedFile, path: Path) -> int:
    """Write a member to a path and return its CRC-32.

    The file appears under its path only when its size and its CRC are right. Raises DamagedError, a
    ValueError, that names the path for a damaged member.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "val", "a.txt")
        >>> member = PackedFile("val/a.txt", size=5, open=lambda: io.BytesIO(b"hello"))
        >>> write_member(member, path) == crc_of(path)
        True
        >>> path.read_bytes()
        b'hello'
    """
    try:
        with appearing(path) as partial, member.open() as source, partial.open("wb") as target:
            crc = 0
            for content in _chunks(source, member.size):
                crc = zlib.crc32(content, crc)
                target.write(content)
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(f"{path}: damaged in its archive ({error}); fetch it again") from None
    return crc


def _chunks(source: Bytes, size: int) -> Iterator[bytes]:
    """Yield exactly `size` bytes in pieces; EOFError if the source has more or fewer."""
    remaining = size
    while content := source.read(min(CHUNK, remaining + 1)):
        remaining -= len(content)
        if remaining < 0:
            break
        yield content
    if remaining:
        raise EOFError(f"it has {'more' if remaining < 0 else 'fewer'} than its {size} bytes")


def merge(source: Path, target: Path) -> None:
    """Move a folder to a target, or its content where the target is a folder already.

    Files of the same name in the target are replaced. Several merges into one target may run at the
    same time.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("new/val/b.jpg", "data/val/a.jpg"):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     root.joinpath(name).touch()
        >>> merge(root / "new", root / "data")
        >>> sorted(path.name for path in (root / "data" / "val").iterdir()), (root / "new").exists()
        (['a.jpg', 'b.jpg'], False)
    """
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(target)
            return
        except OSError as error:  # another thread has moved its folder there
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    for entry in sorted(source.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            merge(entry, target / entry.name)
        else:
            entry.replace(target / entry.name)
    source.rmdir()


def crc_of(path: Path) -> int:
    """Return the CRC-32 of a file's bytes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.txt")
        >>> _ = path.write_bytes(b"hello")
        >>> crc_of(path) == zlib.crc32(b"hello")
        True
    """
    crc = 0
    with path.open("rb") as file:
        while content := file.read(CHUNK):
            crc = zlib.crc32(content, crc)
    return crc
