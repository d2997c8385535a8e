"""Where the images and JSONs of SA-1B are: pairs of members of tars, or of files in folders.

Of each of the eleven million pairs 61 bytes are kept: a name, two offsets and two sizes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int64

from maskspace.data.listings import inside, natural, safe_key
from maskspace.data.source import ImagePlace, PackedNames, repeated
from maskspace.data.tars import Member, read_member, scan_members
from maskspace.files import AnyPath, bounded_bytes

#: How the names of images and of their JSONs end.
SUFFIXES = ((".jpg", ".JPG", ".jpeg", ".JPEG"), (".json", ".JSON"))

#: The largest image that is read.
MAX_IMAGE_BYTES = 256_000_000

#: Offset and size (-1 and -1 for a loose file), and the index of its suffix in SUFFIXES.
_Place = tuple[int, int, int]
#: The places of image and JSON by their name without suffix.
_Found = dict[str, tuple[_Place | None, _Place | None]]


@dataclass(frozen=True)
class OneFile:
    """A member of a tar, or a file in a folder.

    Args:
        container: path of the tar or of the folder.
        name: name of the member or of the file.
        offset: byte of the tar at which the member begins; -1 for a file in a folder.
        size: number of bytes of the member; -1 for a file in a folder.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("sa_10.jpg", "sa_10.json", "sa_9.jpg", "sa_9.json"):
        ...     _ = root.joinpath(name).write_bytes(b"{}")
        >>> OneFile(root, "sa_9.json", offset=-1, size=2).read()
        b'{}'
    """

    container: AnyPath
    name: str
    offset: int
    size: int

    @property
    def place(self) -> str:
        """The name of the file in errors."""
        return f"{self.container}:{self.name}" if self.offset >= 0 else f"{self._path}"

    @property
    def _path(self) -> AnyPath:
        return self.container / self.name

    def read(self, *, limit: int = MAX_IMAGE_BYTES) -> bytes:
        """Return its bytes; ValueError if it has more than `limit` (default 256 000 000)."""
        if self.offset < 0:
            return bounded_bytes(self._path, limit=limit)
        if self.size > limit:
            raise ValueError(f"{self.place}: {self.size} bytes; the limit is {limit} bytes")
        return read_member(self.container, Member(self.name, self.offset, self.size))


@dataclass(frozen=True)
class Sa1bPair:
    """An image with its JSON: the key and the source of the sample, and both files.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("sa_10.jpg", "sa_10.json", "sa_9.jpg", "sa_9.json"):
        ...     _ = root.joinpath(name).write_bytes(b"{}")
        >>> pair = paired_files(root, limit=None)[0]
        >>> pair.key, pair.image.name, pair.label.name
        ('sa_9', 'sa_9.jpg', 'sa_9.json')
    """

    key: str
    source: str
    image: OneFile
    label: OneFile


@dataclass(frozen=True, eq=False)
class PairedFiles:
    """A sequence of the images with their JSONs, tar by tar or folder by folder, by number.

    Args:
        root: the dataset's folder, or its one tar.
        containers: the tars or folders.
        ends: for each container the number of pairs up to its end.
        stems: the name of each pair, without suffix.
        places: for each pair offset, size and suffix of the image, then of the JSON; the offset is
            -1 in a folder, the suffix is an index in `SUFFIXES`.
        doubles: names that several pairs have; their keys have the folder in front.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("sa_10.jpg", "sa_10.json", "sa_9.jpg", "sa_9.json"):
        ...     _ = root.joinpath(name).write_bytes(b"{}")
        >>> pairs = paired_files(root, limit=None)
        >>> len(pairs), list(pairs.keys()), pairs.image_place(0).file
        (2, ['sa_9', 'sa_10'], 'sa_9.jpg')
    """

    root: AnyPath
    containers: tuple[AnyPath, ...]
    ends: tuple[int, ...]
    stems: PackedNames
    places: Int64[np.ndarray, "n 6"]
    doubles: frozenset[str]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.places)

    def __getitem__(self, index: int) -> Sa1bPair:
        """Return one pair."""
        container, stem = self.containers[bisect_right(self.ends, index)], self.stems[index]
        image_offset, image_size, image_suffix, label_offset, label_size, label_suffix = (
            self.places[index].tolist()
        )
        image = OneFile(container, f"{stem}{SUFFIXES[0][image_suffix]}", image_offset, image_size)
        label = OneFile(container, f"{stem}{SUFFIXES[1][label_suffix]}", label_offset, label_size)
        folder = inside(container, self.root)
        in_tar = f"{folder}:{image.name}"
        in_folder = f"{folder}/{image.name}" if container != self.root else image.name
        return Sa1bPair(self._key(index), in_tar if image_offset >= 0 else in_folder, image, label)

    def keys(self) -> PackedNames:
        """Return the key of each pair: its name without folder and suffix."""
        return PackedNames(map(self._key, range(len(self))))

    def _key(self, index: int) -> str:
        stem = self.stems[index]
        name = PurePosixPath(stem).name
        if name not in self.doubles:
            return safe_key(name)
        container = self.containers[bisect_right(self.ends, index)]
        folder = inside(container, self.root) if container != self.root else ""
        return safe_key(f"{folder}/{stem}".removeprefix("/"))

    def image_place(self, index: int) -> ImagePlace:
        """Return where the bytes of an image are, in files relative to the root."""
        image = self[index].image
        if image.offset >= 0:
            file = "" if image.container == self.root else inside(image.container, self.root)
            return ImagePlace(file, image.offset, image.size)
        path = image.container / image.name
        return ImagePlace(inside(path, self.root), 0, path.stat().st_size)


def paired_files(root: AnyPath, *, limit: int | None) -> PairedFiles:
    """Return the pairs of images and JSONs under a root.

    Args:
        root: one tar, a folder with tars, or a folder of loose files and folders.
        limit: only the first so many pairs (None: all); tars after them are not opened.

    Raises ValueError for an image or a JSON without the other, and where there is no pair.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("sa_10.jpg", "sa_10.json", "sa_9.jpg", "sa_9.json"):
        ...     _ = root.joinpath(name).write_bytes(b"{}")
        >>> [pair.key for pair in paired_files(root, limit=1)]
        ['sa_9']
    """
    containers: list[AnyPath] = []
    numbers: list[int] = []
    stems: list[str] = []
    places: list[Int64[np.ndarray, "n 6"]] = [np.zeros((0, 6), np.int64)]
    for container, files in _containers(root):
        names = sorted(files, key=lambda stem: (natural(PurePosixPath(stem).name), stem))
        pairs = [_both(container, stem, files[stem]) for stem in names]
        if pairs:
            containers.append(container)
            numbers.append(len(pairs))
            stems += names
            places.append(np.array(pairs, np.int64))
        if limit is not None and len(stems) >= limit:
            break
    if not stems:
        raise ValueError(f"{root}: no sa_N.jpg with sa_N.json in it; correct the root")
    return PairedFiles(
        root=root,
        containers=tuple(containers),
        ends=tuple(accumulate(numbers)),
        stems=PackedNames(stems[:limit]),
        places=np.concatenate(places)[:limit],
        doubles=frozenset(name for name, _ in repeated([PurePosixPath(one).name for one in stems])),
    )


def _both(
    container: AnyPath, stem: str, pair: tuple[_Place | None, _Place | None]
) -> tuple[int, ...]:
    image, label = pair
    if image is None or label is None:
        missing, present = (".jpg", ".json") if image is None else (".json", ".jpg")
        separator = "/" if (image or label or (0,))[0] == -1 else ":"
        raise ValueError(
            f"{container}{separator}{stem}{present}: its {missing} is missing; "
            "fetch the archive again"
        )
    return (*image, *label)


def _containers(root: AnyPath) -> Iterator[tuple[AnyPath, _Found]]:
    """Yield every tar, or every folder of loose files, with the files that are in it."""
    if root.is_file():
        yield root, _grouped(root, _members(root))
        return
    tars = sorted(root.glob("*.tar"), key=lambda path: natural(path.name))
    for tar in tars:
        yield tar, _grouped(tar, _members(tar))
    if not tars:
        has_loose_files = any(_kind(path.name) is not None for path in root.iterdir())
        folders = _folders(root, "*/*") if has_loose_files else _folders(root, "**/*")
        for folder in (root, *sorted(folders, key=lambda path: natural(inside(path, root)))):
            yield folder, _grouped(folder, _loose(folder))


def _folders(root: AnyPath, pattern: str) -> set[AnyPath]:
    """Return the folders below a root that hold images or JSONs."""
    return {path.parent for path in root.glob(pattern) if _kind(path.name) is not None} - {root}


def _members(tar: AnyPath) -> Iterable[tuple[str, tuple[int, int]]]:
    return ((member.name, (member.offset, member.size)) for member in scan_members(tar))


def _loose(folder: AnyPath) -> Iterable[tuple[str, tuple[int, int]]]:
    return zip((path.name for path in folder.iterdir()), repeat((-1, -1)), strict=False)


def _kind(name: str) -> tuple[int, int] | None:
    """Return 0 for an image or 1 for a JSON, and the index of its suffix; None for other files.

    Hidden files, such as the `._sa_1.jpg` of macOS archives, are other files.
    """
    path = PurePosixPath(name)
    if path.name.startswith("."):
        return None
    for number, suffixes in enumerate(SUFFIXES):
        if path.suffix in suffixes:
            return number, suffixes.index(path.suffix)
    return None


def _grouped(container: AnyPath, files: Iterable[tuple[str, tuple[int, int]]]) -> _Found:
    """Return the images and JSONs by their names without suffix; other files are left out."""
    by_stem: _Found = {}
    for name, (offset, size) in files:
        kind = _kind(name)
        if kind is None:
            continue
        number, suffix = kind
        stem = name[: -len(SUFFIXES[number][suffix])]
        pair = list(by_stem.get(stem, (None, None)))
        if pair[number] is not None:
            raise ValueError(
                f"{container}: {name}: another file is called so, but for capitals; keep one"
            )
        pair[number] = (offset, size, suffix)
        by_stem[stem] = (pair[0], pair[1])
    return by_stem
