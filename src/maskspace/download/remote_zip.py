"""Read single members of a zip on a web server: its directory and the wanted bytes, no more.

remotezip turns the reads of zipfile into ranges of bytes. The bytes come through our transport, so
that they are resumed, retried, throttled and of one version.
"""

import io
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from remotezip import PartialBuffer, RemoteZip, RemoteZipError

from maskspace.data.listings import natural
from maskspace.download.archives import (
    DAMAGED,
    MAX_DIRECTORY,
    DamagedError,
    PackedFile,
    crc_of,
    packed,
    write_member,
    zip_members,
)
from maskspace.download.fetching import room_for
from maskspace.download.remote_body import Body, ChangedError, FileVersion
from maskspace.download.transport import Transport, shown


class RemoteArchive:
    """A zip at a URL; its directory is read once, for all threads that read members.

    How it reads from a server is shown in `tests/download/test_remote_zip.py`.

    Args:
        transport: how requests are made.
        url: where the zip is.

    Example:
        >>> with Transport(show=False) as transport:
        ...     RemoteArchive(transport, "a.zip").members()
        Traceback (most recent call last):
            ...
        ValueError: a.zip: no http:// or https:// URL; correct it
    """

    def __init__(self, transport: Transport, url: str) -> None:
        self.url = url
        self._transport = transport
        self._version: FileVersion | None = None
        self._directory: dict[int, bytes] = {}
        self._lock = threading.Lock()

    @contextmanager
    def opened(self) -> Iterator[zipfile.ZipFile]:
        """Open the zip for one thread; ValueError in one line for what cannot be read."""
        streams: list[Body] = []
        try:
            fetcher = partial(_Fetcher, archive=self, open=streams)
            with RemoteZip(self.url, fetcher=fetcher) as zip_:  # pyright: ignore[reportArgumentType]
                yield zip_
        except ChangedError:
            raise ValueError(f"{shown(self.url)}: changed while it was read; run again") from None
        except (*DAMAGED, RemoteZipError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(f"{shown(self.url)}: no whole zip ({error}); try later") from None
        finally:
            for body in streams:
                body.close()

    def members(self) -> list[PackedFile]:
        """Return the plain files of the zip; ValueError for a hostile zip."""
        with self.opened() as zip_:
            return zip_members(zip_, self._size(), name=shown(self.url))

    def ranged(self, start: int, last: int | None) -> Body:
        """Return the bytes from `start` to `last`, both included, of the version first seen."""
        stop = None if last is None else last + 1
        body = Body(self._transport, self.url, start=start, stop=stop, version=self._version)
        self._version = body.version
        return body

    def kept(self, start: int, last: int | None) -> tuple[int, bytes]:
        """Return the first byte and the content of a part of the directory.

        The part is fetched only the first time. A negative `start` counts from the end. Not every
        server knows such ranges, so the size is asked for first, with a request of one byte.
        """
        with self._lock:
            if self._version is None:
                self.ranged(0, 0).close()
            start = start if start >= 0 else max(0, self._size() + start)
            last = self._size() - 1 if last is None else last
            if start not in self._directory:
                size = last + 1 - start
                if size > MAX_DIRECTORY:
                    raise ValueError(
                        f"{shown(self.url)}: a directory of {size} bytes, the limit is "
                        f"{MAX_DIRECTORY}; do not trust this file"
                    )
                self._transport.progress.expect(size)
                body = self.ranged(start, last)
                self._directory[start] = body.read(size)
                body.close()
            return start, self._directory[start]

    def _size(self) -> int:
        if self._version is None or self._version.size is None:
            raise ValueError(f"{shown(self.url)}: its server does not say its size; use a mirror")
        return self._version.size


class _Fetcher:
    """The reads of RemoteZip, made through our archive."""

    def __init__(
        self,
        url: str,
        reuse: object,
        support_suffix_range: bool,
        *,
        archive: RemoteArchive,
        open: list[Body],
    ) -> None:
        self._archive, self._open = archive, open

    def fetch(self, data_range: tuple[int, int | None], stream: bool = False) -> PartialBuffer:
        """Return a part of the zip: a member, as a stream, or a piece of the directory."""
        if not stream:
            offset, content = self._archive.kept(*data_range)
            return PartialBuffer(io.BytesIO(content), offset, len(content), False)
        body = self._archive.ranged(*data_range)
        self._open.append(body)
        assert body.stop is not None
        return PartialBuffer(body, body.position, body.stop - body.position, True)


def fetch_members(archive: RemoteArchive, places: dict[str, Path], *, attempts: int = 2) -> None:
    """Fetch members of a zip, each to its path, where it appears when its CRC is right.

    Args:
        archive: the zip.
        places: the path of each member by its name.
        attempts: how often a damaged member is read in all (default 2).

    Raises DamagedError for a member that is damaged every time.

    Example:
        >>> import tempfile, zipfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as written:
        ...     written.writestr("data/val/a.txt", "hello")
        >>> from maskspace.download.archives import open_zip
        >>> class LocalArchive(RemoteArchive):  # a zip on the disk in place of one on a server
        ...     def opened(self):
        ...         return open_zip(Path(self.url))
        >>> with Transport(show=False) as transport:
        ...     archive = LocalArchive(transport, str(folder / "a.zip"))
        ...     fetch_members(archive, {"data/val/a.txt": folder / "a.txt"})
        >>> (folder / "a.txt").read_text()
        'hello'
    """
    with archive.opened() as zip_:
        for name, path in places.items():
            member = packed(zip_, zip_.getinfo(name))
            for attempts_left in reversed(range(attempts)):
                try:
                    write_member(member, path)
                    break
                except DamagedError:
                    if not attempts_left:
                        raise


def without_folder(members: list[PackedFile], folder: str) -> dict[str, PackedFile]:
    """Return members by their names without a leading folder.

    If some members are in the folder, the others are left out.

    Example:
        >>> names = ("data/a.jpg", "data/b.jpg", "README")
        >>> members = [PackedFile(name, 5, io.BytesIO) for name in names]
        >>> list(without_folder(members, "data"))
        ['a.jpg', 'b.jpg']
        >>> list(without_folder(members, "other"))
        ['data/a.jpg', 'data/b.jpg', 'README']
    """
    leading = f"{folder}/"
    by_name = {m.name.removeprefix(leading): m for m in members if m.name.startswith(leading)}
    return by_name or {member.name: member for member in members}


def choose_members(
    members: Mapping[str, PackedFile],
    records: str,
    *,
    wanted: Callable[[str], bool],
    others: Callable[[str], bool],
    limit: int | None,
) -> tuple[dict[str, PackedFile], int]:
    """Return the chosen members of an archive by name, and the number of their records.

    Args:
        members: all members by name.
        records: regular expression that finds the record of a member by its groups.
        wanted: says by its name whether a member of a record is chosen.
        others: says by its name whether a member of no record is chosen.
        limit: only the first so many records, in natural order (None: all).

    Example:
        >>> names = ("README", "bear/00000.jpg", "bear/00000.png", "bear/00001.jpg")
        >>> members = {name: PackedFile(name, 5, io.BytesIO) for name in names}
        >>> chosen, number = choose_members(
        ...     members,
        ...     "(bear)/([0-9]+)",
        ...     wanted=lambda name: True,
        ...     others=lambda name: False,
        ...     limit=1,
        ... )
        >>> list(chosen), number
        (['bear/00000.jpg', 'bear/00000.png'], 1)
    """
    by_record: dict[tuple[str, ...], dict[str, PackedFile]] = {}
    chosen: dict[str, PackedFile] = {}
    for name, member in members.items():
        match = re.search(records, name)
        if match is None:
            chosen |= {name: member} if others(name) else {}
        elif wanted(name):
            record = tuple(group for group in match.groups() if group is not None)
            by_record.setdefault(record, {})[name] = member
    chosen_records = sorted(by_record, key=lambda record: tuple(map(natural, record)))[:limit]
    for record in chosen_records:
        chosen |= by_record[record]
    return chosen, len(chosen_records)


def fetch_missing(
    archive: RemoteArchive, batch: Mapping[Path, PackedFile], folder: Path, transport: Transport
) -> None:
    """Fetch the members that are not yet at their paths with their size and CRC.

    Args:
        archive: the zip.
        batch: the members by their paths.
        folder: a folder on the disk that they are written to, for the check of its room.
        transport: its progress counts the members that are there.

    Example:
        >>> import tempfile, zipfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "a.zip", "w") as written:
        ...     written.writestr("data/val/a.txt", "hello")
        >>> from maskspace.download.archives import open_zip
        >>> class LocalArchive(RemoteArchive):  # a zip on the disk in place of one on a server
        ...     def opened(self):
        ...         return open_zip(Path(self.url))
        >>> with Transport(show=False) as transport:
        ...     archive = LocalArchive(transport, str(folder / "a.zip"))
        ...     batch = {folder / "a.txt": PackedFile("data/val/a.txt", 5, io.BytesIO)}
        ...     fetch_missing(archive, batch, folder, transport)
        >>> (folder / "a.txt").read_text()
        'hello'
    """
    missing = {path: member for path, member in batch.items() if not _is_there(path, member)}
    bytes_there = sum(member.packed_size for path, member in batch.items() if path not in missing)
    transport.progress.advance(bytes_there, received=False)
    if missing:
        with room_for(sum(member.size for member in missing.values()), folder / "members"):
            fetch_members(archive, {member.name: path for path, member in missing.items()})


def _is_there(path: Path, member: PackedFile) -> bool:
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    return crc_of(path) == member.crc
