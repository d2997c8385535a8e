"""Download a dataset from where it is published: whole files, or only wanted members of zips.

The same command continues a run that was broken off; what is there already is not fetched again.
`OUT/.downloaded/` notes which archives have been unpacked.
"""

import csv
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from maskspace.config import lookup
from maskspace.data.listings import natural
from maskspace.data.tars import members as tar_members
from maskspace.download.archives import PackedFile, check_distinct, check_name, merge, unpack
from maskspace.download.bsds500_official import arrange_bsds500
from maskspace.download.catalogue import OFFICIAL, OfficialDataset, OfficialFile, Scenes
from maskspace.download.fetching import NoRoomError, check_content, fetch_file
from maskspace.download.links import read_links
from maskspace.download.remote_zip import (
    RemoteArchive,
    choose_members,
    fetch_missing,
    without_folder,
)
from maskspace.download.transport import StoppedError, Transport, shown
from maskspace.files import name_beside, write_json

#: By reader: what turns the published layout into ours, before it is moved to its place.
ARRANGE: Mapping[str, Callable[[Path], None]] = {"bsds500": arrange_bsds500}

_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to download.

    Args:
        dataset: its name in `OFFICIAL`.
        out: folder that the files go to.
        limit: only the first so many frames, where members of zips are chosen, or files elsewhere
            (default None: all).
        contains: words; a member or a file is wanted if its name contains each of them. A word may
            be alternatives separated by commas, of which one is enough (default: everything is
            wanted).
        links: file of links, for datasets whose licence gives one (default None).
        mirror: URL of a folder that has the files under their own names (default None: the official
            URLs).

    Example:
        >>> request = Request(
        ...     dataset="coco",
        ...     out=Path("coco"),
        ...     contains=("val,annotations", "2017"),
        ...     mirror="https://example.org/mirror",
        ... )
        >>> request.wants("val2017.zip"), request.wants("train2017.zip")
        (True, False)
        >>> request.url("http://images.cocodataset.org/zips/val2017.zip")
        'https://example.org/mirror/val2017.zip'
    """

    dataset: str
    out: Path
    limit: int | None = None
    contains: tuple[str, ...] = ()
    links: Path | None = None
    mirror: str | None = None

    @property
    def official(self) -> OfficialDataset:
        """The record of the dataset; ValueError for an unknown name."""
        return lookup(OFFICIAL, self.dataset, kind="dataset to download")

    def wants(self, name: str) -> bool:
        """Say whether a name contains every word of `contains`."""
        return all(any(part in name for part in word.split(",")) for word in self.contains)

    def url(self, url: str) -> str:
        """Return the URL that a file is fetched from: the mirror's, if there is one."""
        if self.mirror is None:
            return url
        return f"{self.mirror.rstrip('/')}/{urlsplit(url).path.rsplit('/', 1)[-1]}"


@dataclass(frozen=True, kw_only=True)
class DownloadTask:
    """A part of a download.

    Args:
        files: name and number of bytes, None if not known, of each file that it brings.
        run: the function that does the work.

    Example:
        >>> task = DownloadTask(files={"val2017.zip": 815585330}, run=lambda: print("fetched"))
        >>> task.run()
        fetched
    """

    files: Mapping[str, int | None]
    run: Callable[[], None]


@dataclass(kw_only=True)
class DownloadReport:
    """The outcome of a download.

    Args:
        files: number of files that were brought or found (default 0).
        received: number of bytes received (default 0).
        failures: one line for each part that failed (default: none).

    Example:
        >>> report = DownloadReport(files=2, received=10)
        >>> report.failures.append("a.zip: answers 404; it is not there")
        >>> len(report.failures)
        1
    """

    files: int = 0
    received: int = 0
    failures: list[str] = field(default_factory=list)


def terms(request: Request) -> str:
    """Return the terms of a dataset: its size, its licence, and what is left to do by hand.

    Example:
        >>> text = terms(Request(dataset="davis2016", out=Path("davis2016")))
        >>> print(text.partition(" (")[0])
        davis2016: 1.9 GB, for the reader 'davis'
        licence: no licence is stated for the data
    """
    official = request.official
    licence = official.licence
    lines = [
        f"{request.dataset}: {official.size}, for the reader {official.kind!r}",
        f"licence: {licence.name} ({licence.terms}); {licence.link}",
    ]
    return "\n".join([*lines, f"note: {official.note}"] if official.note else lines)


def overview() -> str:
    """Return one line for each dataset that can be downloaded.

    Example:
        >>> print(overview().splitlines()[0])
        bsds500            70.8 MB; no licence file
    """
    width = max(map(len, OFFICIAL))
    return "\n".join(
        f"{name:{width}}  {official.size}; {official.licence.name}"
        for name, official in sorted(OFFICIAL.items())
    )


def fetch_dataset(request: Request, transport: Transport, *, jobs: int = 4) -> DownloadReport:
    """Download a dataset into `request.out`; a part that fails does not stop the others.

    Args:
        request: what to download.
        transport: how requests are made.
        jobs: number of threads (default 4).

    Raises ValueError in one line where nothing can be done: an unknown dataset, no links, a full
    disk, or another download into the same folder.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> tab = chr(9)
        >>> link = f"sa_000020.tar{tab}https://example.org/sa_000020.tar"
        >>> _ = (out / "links.txt").write_text(link)
        >>> (out / "sa_000020.tar").touch()  # it is there, so that nothing is fetched
        >>> request = Request(dataset="sa1b", out=out, links=out / "links.txt")
        >>> with Transport(show=False) as transport:
        ...     fetch_dataset(request, transport, jobs=1)
        DownloadReport(files=1, received=0, failures=[])
    """
    report = DownloadReport()
    request.out.mkdir(parents=True, exist_ok=True)
    work = tasks(request, transport, jobs=jobs)
    with _alone_in(request.out), ThreadPoolExecutor(jobs) as pool:
        waiting: set[Future[None]] = set()
        try:
            for task in work:
                report.files += len(task.files)
                waiting.add(pool.submit(task.run))
                if len(waiting) > 2 * jobs:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    _collect(finished, report)
            _collect(wait(waiting).done, report)
        except BaseException:
            transport.stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    report.received = transport.progress.received
    return report


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep a second download from writing to the same partial files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"{folder}: another download writes to it; wait for its end") from None
    finally:
        os.close(handle)


def _collect(done: Iterable[Future[None]], report: DownloadReport) -> None:
    for future in done:
        error = future.exception()
        if isinstance(error, ValueError) and not isinstance(error, NoRoomError):
            report.failures.append(str(error))
        elif error is not None and not isinstance(error, StoppedError):
            raise error


def tasks(request: Request, transport: Transport, *, jobs: int) -> Iterator[DownloadTask]:
    """Yield the parts of a download; those of zips follow when their directories are read.

    Args:
        request: what to download.
        transport: how requests are made.
        jobs: number of threads, among which the members of a zip are divided.

    Raises ValueError where the request finds nothing.

    Example:
        >>> request = Request(dataset="coco", out=Path("coco"), contains=("annotations",))
        >>> with Transport(show=False) as transport:
        ...     [dict(task.files) for task in tasks(request, transport, jobs=1)]
        [{'annotations_trainval2017.zip': 252907541}]
    """
    official = request.official
    if request.links is not None and official.links is None:
        raise ValueError(f"{request.dataset}: needs no links; leave --links out")
    if official.scenes is not None:
        yield from _scene_tasks(request, official.scenes, transport, jobs)
    elif official.links is not None:
        yield from islice(_link_tasks(request, official.links, transport), request.limit)
    else:
        yield from _file_tasks(request, official, transport, jobs)


def _file_tasks(
    request: Request, official: OfficialDataset, transport: Transport, jobs: int
) -> Iterator[DownloadTask]:
    if request.contains or request.limit is not None:
        divisible = [file for file in official.files if file.records is not None]
        if divisible:
            for file in divisible:
                yield from _part_tasks(request, file, transport, jobs)
            return
    wanted = [file for file in official.files if request.wants(file.name)][: request.limit]
    if not wanted:
        names = ", ".join(file.name for file in official.files)
        raise ValueError(f"{request.dataset}: no file contains all words; it has {names}")
    for file in wanted:
        yield DownloadTask(
            files={file.name: file.size},
            run=partial(_fetch_whole, request, official.kind, file, transport),
        )


def _part_tasks(
    request: Request, file: OfficialFile, transport: Transport, jobs: int
) -> Iterator[DownloadTask]:
    archive = RemoteArchive(transport, request.url(file.url))
    chosen, count = choose_members(
        without_folder(archive.members(), file.strip),
        file.records or "",
        wanted=request.wants,
        others=lambda name: True,
        limit=request.limit,
    )
    if not count:
        raise ValueError(f"{request.dataset}: no member contains all of {request.contains}")
    yield from _member_tasks(archive, chosen, request.out / file.into, jobs, transport)


def _fetch_whole(request: Request, kind: str, file: OfficialFile, transport: Transport) -> None:
    """Fetch a file and unpack it, then remove it; an archive that is there already is used."""
    path = request.out / file.name
    unpacked = _Done.of(request.out, file.name)
    if unpacked.still_there():
        return
    is_there = path.is_file()
    if is_there:
        _check_brought(path, file)
    else:
        url = request.url(file.url)
        fetch_file(transport, url, path, size=file.size, digest=file.hash)
    staging = path.with_name(name_beside(path.name, after=".unpacked.partial"))
    try:
        unpack(path, staging / file.into, strip=file.strip, nested=file.nested)
        if kind in ARRANGE:
            ARRANGE[kind](staging)
    except ValueError as error:
        shutil.rmtree(staging, ignore_errors=True)
        if not is_there and not isinstance(error, NoRoomError):
            path.unlink()  # the next run would take it for whole
        raise
    unpacked.note(staging)
    merge(staging, request.out)
    unpacked.finish()
    path.unlink()


def _check_brought(path: Path, file: OfficialFile) -> None:
    try:
        check_content(path, size=file.size, digest=file.hash)
    except ValueError as error:
        raise ValueError(f"{error}; remove it and run again") from None


@dataclass(frozen=True)
class _Done:
    """The note that an archive has been unpacked, with its files and their sizes."""

    out: Path
    path: Path

    @classmethod
    def of(cls, out: Path, name: str) -> "_Done":
        return cls(out, out / ".downloaded" / f"{name}.json")

    def still_there(self) -> bool:
        try:
            files = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return False
        places = {self.out / name: size for name, size in files.items()}
        return all(p.is_file() and p.stat().st_size == size for p, size in places.items())

    def note(self, staged: Path) -> None:
        sizes = {
            path.relative_to(staged).as_posix(): path.stat().st_size
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        }
        write_json(self._pending, sizes)

    def finish(self) -> None:
        self._pending.replace(self.path)

    @property
    def _pending(self) -> Path:
        return self.path.with_name(name_beside(self.path.name, after=".partial"))


def _link_tasks(request: Request, how: str, transport: Transport) -> Iterator[DownloadTask]:
    if request.links is None:
        raise ValueError(f"{request.dataset}: {how}")
    links = {name: url for name, url in read_links(request.links).items() if request.wants(name)}
    if not links:
        raise ValueError(f"{request.links}: no file_name contains all words of --contains")
    for name in sorted(links, key=natural):
        run = partial(_fetch_tar, request.url(links[name]), request.out / name, transport)
        if request.mirror is not None:
            run = partial(_fetch_tar, request.url(name), request.out / name, transport)
        yield DownloadTask(files={name: None}, run=run)


def _fetch_tar(url: str, path: Path, transport: Transport) -> None:
    if not path.is_file():
        fetch_file(transport, url, path, check=tar_members)


def _scene_tasks(
    request: Request, scenes: Scenes, transport: Transport, jobs: int
) -> Iterator[DownloadTask]:
    listing = request.out / scenes.listing.name
    if not listing.is_file():
        fetch_file(transport, request.url(scenes.listing.url), listing)
    frames_left, has_any = request.limit, False
    for scene in _wanted_scenes(request, scenes, listing):
        if frames_left == 0:
            break
        archive = RemoteArchive(transport, request.url(f"{scenes.base}/{scene}.zip"))
        try:
            members = {m.name: m for m in archive.members() if m.name.startswith(f"{scene}/")}
        except ValueError as error:
            yield DownloadTask(files={}, run=partial(_fail, error))
            has_any = True
            continue
        chosen, count = choose_members(
            members,
            scenes.records if request.contains else scenes.members,
            wanted=request.wants,
            others=request.wants if request.contains else lambda name: False,
            limit=frames_left,
        )
        frames_left = None if frames_left is None else frames_left - count
        has_any = has_any or bool(chosen)
        yield from _member_tasks(archive, chosen, request.out, jobs, transport)
    if not has_any:
        raise ValueError(f"{request.dataset}: no member contains all of {request.contains}")


def _fail(error: ValueError) -> None:
    raise error


def _wanted_scenes(request: Request, scenes: Scenes, listing: Path) -> list[str]:
    """Return the released scenes in order; words that are names of scenes keep only those."""
    try:
        with listing.open(newline="", encoding="utf-8") as file:
            names = {
                row[scenes.column]
                for row in csv.DictReader(file)
                if row.get("included_in_public_release", "True") == "True"
            }
        bad_names = [name for name in names if not re.fullmatch(r"\w+", name or "")]
    except (KeyError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{listing}: not the list of scenes ({error}); remove it") from None
    if bad_names:
        raise ValueError(f"{listing}: {bad_names[0]!r} is no name of a scene; remove the list")
    name_words = [set(word.split(",")) for word in request.contains]
    name_words = [
        word for word in name_words if all(re.fullmatch(r"ai_\d+_\d+", one) for one in word)
    ]
    wanted = [name for name in names if all(name in word for word in name_words)]
    if not wanted:
        raise ValueError(f"{listing}: no scene of this name; correct --contains")
    return sorted(wanted, key=natural)


def _member_tasks(
    archive: RemoteArchive,
    chosen: Mapping[str, PackedFile],
    folder: Path,
    jobs: int,
    transport: Transport,
) -> Iterator[DownloadTask]:
    """Yield tasks that fetch members to their paths in `folder`, several for every thread."""
    paths = [folder / check_name(name, archive=shown(archive.url)) for name in chosen]
    check_distinct(paths)
    by_path = dict(zip(paths, chosen.values(), strict=True))
    transport.progress.expect(sum(member.packed_size for member in chosen.values()))
    batch_size = max(_BATCH, -(-len(paths) // jobs))
    for first in range(0, len(paths), batch_size):
        batch = {path: by_path[path] for path in paths[first : first + batch_size]}
        yield DownloadTask(
            files={path.relative_to(folder).as_posix(): m.size for path, m in batch.items()},
            run=partial(fetch_missing, archive, batch, folder, transport),
        )
