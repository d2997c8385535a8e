"""All access to files: local paths and every URL that fsspec knows.

Reads are by offset and keep no position, so that threads and forked copies share nothing. A file
that is written appears whole or not at all: locally by a rename, in an object store when the upload
ends.
"""

import hashlib
import json
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

import fsspec
import fsspec.config
from fsspec.core import split_protocol
from upath import UPath

from maskspace.servers import require_http

#: A local path, or a URL with its options.
AnyPath: TypeAlias = Path | UPath

#: The extra of ours that brings the driver of a protocol.
_EXTRAS = {"s3": "s3", "s3a": "s3"}
_LOCAL = ("", "file", "local")
_READ_ONLY = ("http", "https")
#: Here a file appears when its upload ends; elsewhere it is uploaded beside its name and moved.
_OBJECT_STORES = ("abfs", "az", "gcs", "gs", "memory", "oss", "s3", "s3a")
#: Bytes of a file's name, of Linux's and macOS's file systems.
_LONGEST_NAME = 255


def locate(place: str | AnyPath) -> AnyPath:
    """Return the path of a folder or a file that is given as a path or as a URL.

    Local ones, also those of `file:` URLs, are plain paths. ValueError for a protocol that is
    unknown, whose driver is not installed, or whose server does not answer.

    Example:
        >>> locate("file:///data/shards").as_posix()
        '/data/shards'
        >>> str(locate("memory://bucket/shards"))
        'memory://bucket/shards'
    """
    if isinstance(place, Path):
        return place
    if isinstance(place, str):
        protocol, rest = split_protocol(place)
        if protocol is None:
            return Path(rest)
        place = _checked(str(protocol), place)
    return Path(place.path) if place.protocol in _LOCAL else place


def _checked(protocol: str, url: str) -> UPath:
    try:
        fsspec.get_filesystem_class(protocol)
        if protocol in _EXTRAS:
            _require_endpoint(_endpoint())
        elif protocol in _READ_ONLY:
            _require_endpoint("/".join(url.split("/")[:3]))
        return UPath(url)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        mend = f"`pip install maskspace[{extra}]`" if extra else error
        raise ValueError(f"{url}: the driver for {protocol}:// is not installed; {mend}") from None
    except ConnectionError as error:
        raise ValueError(f"{url}: {error}; start it, or correct the address") from None
    except ValueError:
        raise ValueError(f"{url}: no driver knows {protocol}://; correct the URL") from None


def _endpoint() -> str | None:
    """Return the address that object stores are reached at, None for the provider's own."""
    configured = fsspec.config.conf.get("s3", {}).get("endpoint_url")
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    return configured or next((os.environ[name] for name in names if os.environ.get(name)), None)


@lru_cache
def _require_endpoint(address: str | None) -> None:
    """Raise ConnectionError within seconds if nobody answers; drivers try for minutes."""
    if address is None:
        return
    try:
        require_http(address, name=address)
    except ValueError as error:
        raise ConnectionError(str(error)) from None


def transfer_errors() -> tuple[type[Exception], ...]:
    """Return what reading and writing may raise for reasons of the file, the disk or the net.

    Two drivers have errors that are no OSError; they are listed only if the drivers are loaded.

    Example:
        >>> OSError in transfer_errors()
        True
    """
    errors: list[type[Exception]] = [OSError]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError")):
        if module in sys.modules:
            errors.append(getattr(sys.modules[module], name))
    return tuple(errors)


@runtime_checkable
class RangedFile(Protocol):
    """A file that is read by offset.

    Example:
        >>> class Bytes:
        ...     def read_at(self, offset, size):
        ...         return b"abcdef"[offset : offset + size]
        >>> isinstance(Bytes(), RangedFile)
        True
    """

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer where the file ends."""
        ...


class LocalFile:
    """A local file, opened once; it keeps no position. It closes when nothing refers to it.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "letters")
        >>> _ = path.write_bytes(b"abcdef")
        >>> LocalFile(path).read_at(2, 3), LocalFile(path).size()
        (b'cde', 6)
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        # not __del__: at the end of the interpreter the module os may be gone before the file
        weakref.finalize(self, os.close, self._descriptor)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer where the file ends."""
        return os.pread(self._descriptor, size, offset)

    def size(self) -> int:
        """Return the number of bytes in the file."""
        return os.fstat(self._descriptor).st_size


class RemoteFile:
    """A file at a URL; every read is one ranged request. Servers refuse reads beyond the end.

    Example:
        >>> _ = write_whole(UPath("memory://letters/one"), b"abcdef")
        >>> RemoteFile(UPath("memory://letters/one")).read_at(2, 3)
        b'cde'
    """

    def __init__(self, path: UPath) -> None:
        # of this process and thread: a file system that was inherited through a fork does not work
        self._files = fsspec.filesystem(path.protocol, **path.storage_options)
        self._path = path

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer where the file ends."""
        if size == 0:
            return b""
        content = self._files.cat_file(self._path.path, start=offset, end=offset + size)
        if len(content) > size:
            raise ValueError(f"{self._path}: its server ignores ranges; download the file")
        return content


def open_ranged(path: AnyPath) -> LocalFile | RemoteFile:
    """Return the file for reads by offset; a local file must exist.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "letters")
        >>> _ = path.write_bytes(b"abcdef")
        >>> open_ranged(path).read_at(4, 100)
        b'ef'
    """
    return LocalFile(path) if isinstance(path, Path) else RemoteFile(path)


def read_exactly(file: RangedFile, offset: int, size: int, *, name: str) -> bytes:
    """Return `size` bytes from `offset`; ValueError that starts with `name` if there are fewer.

    Errors of a driver become that ValueError, too.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "letters")
        >>> _ = path.write_bytes(b"abcdef")
        >>> read_exactly(LocalFile(path), 2, 3, name="letters")
        b'cde'
    """
    try:
        content = file.read_at(offset, size)
    except transfer_errors() as error:
        raise ValueError(f"{name}: cannot be read ({error}); check it") from None
    if len(content) != size:
        raise ValueError(f"{name}: truncated; fetch or write it again")
    return content


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is written appears at `path`, with its folder, at the end.

    If the block raises, nothing new appears, and what was at `path` stays.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "folder", "text")
        >>> with appearing(path) as unfinished:
        ...     _ = unfinished.write_text("all of it")
        >>> path.read_text()
        'all of it'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(name_beside(path.name, before=".", after=".partial"))
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def name_beside(name: str, *, before: str = "", after: str) -> str:
    """Return a file's name with something before and after it, at most 255 bytes long.

    A file system's names have at most 255 bytes: if the name is too long, its hash replaces it.

    Example:
        >>> name_beside("photo.png", before=".", after=".partial")
        '.photo.png.partial'
        >>> len(name_beside("a" * 255, after=".partial"))  # 64 digits and the ending
        72
    """
    longer = f"{before}{name}{after}"
    if len(os.fsencode(longer)) <= _LONGEST_NAME:
        return longer
    return f"{before}{hashlib.sha256(os.fsencode(name)).hexdigest()}{after}"


@contextmanager
def writing(path: AnyPath) -> Iterator[BinaryIO]:
    """Give a file to write; it appears at `path` when the block ends, and not if it raises.

    For a URL, a temporary file is written first and uploaded at the end. ValueError for a URL that
    cannot be written to.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "letters")
        >>> with writing(path) as file:
        ...     _ = file.write(b"abc")
        >>> path.read_bytes()
        b'abc'
    """
    if isinstance(path, Path):
        with appearing(path) as partial, partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        return
    if path.protocol in _READ_ONLY:
        raise ValueError(f"{path}: {path.protocol}:// is read-only; write to a folder or s3://")
    with tempfile.NamedTemporaryFile(suffix=".partial") as file:
        yield file  # pyright: ignore[reportReturnType]
        file.flush()
        _upload(file.name, path)


def _upload(name: str, path: UPath) -> None:
    files = path.fs
    if path.protocol in _OBJECT_STORES:
        files.put_file(name, path.path)
        return
    partial = f"{path.path}.partial"
    files.makedirs(path.parent.path, exist_ok=True)
    files.put_file(name, partial)
    with suppress(FileNotFoundError):
        files.rm_file(path.path)
    files.mv(partial, path.path)


def write_whole(path: AnyPath, content: bytes | str) -> AnyPath:
    """Write a file that appears whole or not at all, text as UTF-8; return its path.

    Example:
        >>> write_whole(Path(tempfile.mkdtemp(), "text"), "all of it").read_text()
        'all of it'
    """
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: AnyPath, value: object) -> AnyPath:
    """Write JSON that appears whole or not at all; return its path.

    Example:
        >>> json.loads(
        ...     write_json(Path(tempfile.mkdtemp(), "value.json"), {"mean": 0.5}).read_text()
        ... )
        {'mean': 0.5}
    """
    return write_whole(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def size_of(path: AnyPath) -> int | None:
    """Return the number of bytes of a file; None if there is no such file.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> size_of(write_whole(folder / "letters", b"abcdef")), size_of(folder / "absent")
        (6, None)
    """
    try:
        return path.stat().st_size if isinstance(path, Path) else path.fs.size(path.path)
    except FileNotFoundError:
        return None


def bounded_size(path: AnyPath, *, limit: int) -> int:
    """Return the size of a file of at most `limit` bytes; ValueError in one line otherwise.

    Example:
        >>> bounded_size(write_whole(Path(tempfile.mkdtemp(), "letters"), b"abcdef"), limit=10)
        6
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; fetch the dataset again") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); check the file") from None
    if size > limit:
        raise ValueError(f"{path}: {size} bytes; the limit is {limit} bytes")
    return size


def bounded_bytes(path: AnyPath, *, limit: int) -> bytes:
    """Return the bytes of a file of at most `limit` bytes; ValueError in one line otherwise.

    Example:
        >>> bounded_bytes(write_whole(Path(tempfile.mkdtemp(), "letters"), b"abcdef"), limit=10)
        b'abcdef'
    """
    bounded_size(path, limit=limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); check the file") from None
