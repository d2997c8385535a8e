"""Fetch whole files: resumed where an earlier run stopped, checked, then put under their names."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from maskspace.download.remote_body import Body, ChangedError, FileVersion, NoRangesError
from maskspace.download.transport import Transport, shown
from maskspace.files import name_beside, write_json

#: How often a file may change on its server while it is fetched.
RESTARTS = 4
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fetch_file(
    transport: Transport,
    url: str,
    path: Path,
    *,
    size: int | None = None,
    digest: str | None = None,
    check: Callable[[Path], object] | None = None,
) -> Path:
    """Fetch a file to a path and return the path; it appears there when it is whole and checked.

    While it is fetched it is PATH.partial, and PATH.partial.json notes the server's version of it.
    A later run goes on where an earlier one stopped if the server still has that version. A version
    without an ETag and without a date begins anew.

    Args:
        transport: how requests are made.
        url: where the file is.
        path: where it appears.
        size: number of bytes that it has to have (default None: not checked).
        digest: "sha256:..." or "md5:..." that it has to have (default None: not checked).
        check: function of the fetched file that raises ValueError for content that cannot be right
            (default None: no check).

    Raises ValueError in one line for a file that cannot be fetched or is not what it should be;
    then what was fetched is removed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.zip")
        >>> partial, note = partial_paths(path)
        >>> _ = partial.write_bytes(b"hello")  # all 5 bytes, fetched by an earlier run
        >>> _ = write_json(note, {"size": 5, "etag": '"1"', "modified": None})
        >>> with Transport(show=False) as transport:
        ...     _ = fetch_file(transport, "https://example.org/a.zip", path, size=5)
        >>> path.read_bytes(), partial.exists(), transport.progress.received
        (b'hello', False, 0)
    """
    partial, note = partial_paths(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(RESTARTS):
        try:
            _fill(transport, url, partial, note, size)
            break
        except (ChangedError, NoRangesError):
            _forget(partial, note)
    else:
        raise ValueError(f"{shown(url)}: keeps changing, or cannot be resumed; try later")
    try:
        check_content(partial, size=size, digest=digest)
        if check is not None:
            check(partial)
    except ValueError as error:
        _forget(partial, note)
        reason = str(error).replace(str(partial), shown(url))
        raise ValueError(f"{reason}; what was fetched is removed") from None
    partial.replace(path)
    note.unlink(missing_ok=True)
    return path


def partial_paths(path: Path) -> tuple[Path, Path]:
    """Return the path of a file while it is fetched, and the path of the note of its version.

    Example:
        >>> partial, note = partial_paths(Path("coco/val2017.zip"))
        >>> partial.name, note.name
        ('val2017.zip.partial', 'val2017.zip.partial.json')
    """
    partial, note = (name_beside(path.name, after=end) for end in (".partial", ".partial.json"))
    return path.with_name(partial), path.with_name(note)


def _fill(transport: Transport, url: str, partial: Path, note: Path, size: int | None) -> None:
    version = _noted(note)
    bytes_there = partial.stat().st_size if version is not None and partial.is_file() else 0
    progress = transport.progress
    if version is not None and version.size == bytes_there:
        progress.expect(bytes_there)
        progress.advance(bytes_there, received=False)
        return
    body = Body(transport, url, start=bytes_there, version=version if bytes_there else None)
    expected = 0
    try:
        expected = _expected_size(url, body.version, size)
        progress.expect(expected)
        progress.advance(bytes_there, received=False)
        with room_for(expected - bytes_there, partial):
            write_json(note, asdict(body.version))
            with partial.open("ab" if bytes_there else "wb") as file:
                while content := body.read_some():
                    file.write(content)
                    if 0 < expected < body.position:  # a server without a length may never end
                        _forget(partial, note)
                        raise ValueError(
                            f"{shown(url)}: sends more than the {expected} bytes that are "
                            "expected; the file was changed, or the mirror is wrong"
                        )
    except (ChangedError, NoRangesError):
        progress.expect(-expected)
        progress.advance(-body.position, received=False)
        raise
    finally:
        body.close()


def _expected_size(url: str, version: FileVersion, size: int | None) -> int:
    """Return the number of bytes to expect, 0 where it is unknown.

    Raises ValueError where the server has another number than `size`.
    """
    if None not in (size, version.size) and size != version.size:
        raise ValueError(
            f"{shown(url)}: has {version.size} bytes, {size} are expected; the file was changed, "
            "or the mirror is wrong"
        )
    return version.size or size or 0


def _noted(note: Path) -> FileVersion | None:
    """Return the version that an earlier run noted; None where nothing can be resumed."""
    try:
        version = FileVersion(**json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return version if version.validator else None


def _forget(partial: Path, note: Path) -> None:
    partial.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def check_content(path: Path, *, size: int | None, digest: str | None) -> None:
    """Raise ValueError for a file with another number of bytes or another hash.

    `size` and `digest` ("sha256:..." or "md5:...") are not checked where they are None.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.zip")
        >>> _ = path.write_bytes(b"hello")
        >>> check_content(path, size=5, digest="md5:5d41402abc4b2a76b9719d911017c592")
        >>> try:
        ...     check_content(path, size=6, digest=None)
        ... except ValueError as error:
        ...     print(str(error).partition(": ")[2])
        has 5 bytes, 6 are expected
    """
    size_there = path.stat().st_size
    if size is not None and size_there != size:
        raise ValueError(f"{path}: has {size_there} bytes, {size} are expected")
    if digest is None:
        return
    kind, _, expected = digest.partition(":")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, kind).hexdigest()
    if actual != expected:
        raise ValueError(f"{path}: its {kind} is {actual}, expected is {expected}")


class NoRoomError(ValueError):
    """The disk is full, or would be full.

    Example:
        >>> try:
        ...     with room_for(10**18, Path("a.zip")):
        ...         print("this is never reached")
        ... except NoRoomError as error:
        ...     print(str(error).partition("; ")[2])
        make room
    """


@contextmanager
def room_for(count: int, path: Path) -> Iterator[None]:
    """Guard a block that writes `count` bytes to `path`.

    Raises NoRoomError, a ValueError, before the block where the disk has less room, and where the
    disk becomes full inside the block.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.txt")
        >>> with room_for(5, path):
        ...     path.write_bytes(b"hello")
        5
    """
    free = shutil.disk_usage(path.parent).free
    if count > free:
        raise NoRoomError(f"{path}: needs {count} bytes, the disk has {free} free; make room")
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise NoRoomError(
            f"{path}: needs {count} bytes, the disk is full ({error.strerror}); make room and run "
            "again"
        ) from None
