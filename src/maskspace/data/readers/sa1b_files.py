"""Where the images and JSONs of SA-1B lie: pairs of members of tars, or of files in folders.

Of the eleven million pairs only numbers are kept, 45 bytes each: a name and four offsets and sizes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int64

from maskspace.data.listings import inside, natural, safe_key
from maskspace.data.source import ImagePlace, PackedNames
from maskspace.data.tars import Member, read_member, scan_members
from maskspace.files import AnyPath, bounded_bytes

SUFFIXES = (".jpg", ".json")

#: The largest image that is read.
MAX_IMAGE_BYTES = 256_000_000

#: By the name without suffix: for image and JSON its offset and size; of loose files -1 and -1.
_Found = dict[str, tuple[tuple[int, int] | None, tuple[int, int] | None]]


@dataclass(frozen=True)
class OneFile:
    """A member of a tar, or a file in a folder (then `offset` is -1)."""

    container: AnyPath
    name: str
    offset: int
    size: int

    @property
    def place(self) -> str:
        """What names it in errors."""
        return f"{self.container}:{self.name}" if self.offset >= 0 else f"{self._path}"

    @property
    def _path(self) -> AnyPath:
        return self.container / self.name

    def read(self, *, limit: int = MAX_IMAGE_BYTES) -> bytes:
        """Return its bytes; ValueError for more than `limit` of them."""
        if self.offset < 0:
            return bounded_bytes(self._path, limit=limit)
        if self.size > limit:
            raise ValueError(f"{self.place}: {self.size} bytes; the limit is {limit} bytes")
        return read_member(self.container, Member(self.name, self.offset, self.size))


@dataclass(frozen=True)
class Pair:
    """An image with its JSON."""

    key: str
    source: str
    image: OneFile
    label: OneFile


@dataclass(frozen=True, eq=False)
class PairedFiles:
    """Every image with its JSON, tar by tar (or folder by folder), in the order of their numbers.

    `ends` holds how many pairs there are up to and with each container; `places` the offset and
    size of image and JSON in a tar, -1 of loose files.
    """

    root: AnyPath
    containers: tuple[AnyPath, ...]
    ends: tuple[int, ...]
    stems: PackedNames
    places: Int64[np.ndarray, "n 4"]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.places)

    def __getitem__(self, index: int) -> Pair:
        """Return one pair."""
        container, stem = self.containers[bisect_right(self.ends, index)], self.stems[index]
        a, b, c, d = self.places[index].tolist()
        image, label = (
            OneFile(container, f"{stem}{suffix}", *place)
            for suffix, place in zip(SUFFIXES, ((a, b), (c, d)), strict=True)
        )
        within = inside(container, self.root)
        in_tar = f"{within}:{image.name}"
        loose = f"{within}/{image.name}" if container != self.root else image.name
        return Pair(_key(stem), in_tar if a >= 0 else loose, image, label)

    def keys(self) -> PackedNames:
        """Return the key of each pair: the name of its files without folder and suffix."""
        return PackedNames(map(_key, self.stems))

    def image_place(self, index: int) -> ImagePlace:
        """Return where the bytes of an image are, in files relative to the root."""
        image = self[index].image
        if image.offset >= 0:
            file = "" if image.container == self.root else inside(image.container, self.root)
            return ImagePlace(file, image.offset, image.size)
        path = image.container / image.name
        return ImagePlace(inside(path, self.root), 0, path.stat().st_size)


def _key(stem: str) -> str:
    return safe_key(PurePosixPath(stem).name)


def paired_files(root: AnyPath, *, limit: int | None) -> PairedFiles:
    """Return the first `limit` pairs of the tars in `root`, or of the folder and those in it.

    `root` may also be a single tar. Tars past the limit are not opened. Raises ValueError for an
    image without its JSON and the other way round, and where there is no pair.
    """
    containers: list[AnyPath] = []
    numbers: list[int] = []
    stems: list[str] = []
    places: list[Int64[np.ndarray, "n 4"]] = [np.zeros((0, 4), np.int64)]
    for container, found in _containers(root):
        names = sorted(found, key=lambda stem: (natural(PurePosixPath(stem).name), stem))
        pairs = [_both(container, stem, found[stem]) for stem in names]
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
    )


def _both(
    container: AnyPath, stem: str, pair: tuple[tuple[int, int] | None, tuple[int, int] | None]
) -> tuple[int, int, int, int]:
    image, label = pair
    if image is None or label is None:
        missing, present = SUFFIXES if image is None else SUFFIXES[::-1]
        separator = "/" if (image or label) == (-1, -1) else ":"
        raise ValueError(
            f"{container}{separator}{stem}{present}: its {missing} is missing; "
            "fetch the archive again"
        )
    return (*image, *label)


def _containers(root: AnyPath) -> Iterator[tuple[AnyPath, _Found]]:
    """Yield every tar, or every folder of loose files, with what is in it."""
    if root.is_file():
        yield root, _grouped(_members(root))
        return
    tars = sorted(root.glob("*.tar"), key=lambda path: natural(path.name))
    for tar in tars:
        yield tar, _grouped(_members(tar))
    if not tars:
        yield root, _grouped(_loose(root))
        folders = {path.parent for suffix in SUFFIXES for path in root.glob(f"*/*{suffix}")}
        for folder in sorted(folders, key=lambda path: natural(path.name)):
            yield folder, _grouped(_loose(folder))


def _members(tar: AnyPath) -> Iterable[tuple[str, tuple[int, int]]]:
    return ((member.name, (member.offset, member.size)) for member in scan_members(tar))


def _loose(folder: AnyPath) -> Iterable[tuple[str, tuple[int, int]]]:
    paths = chain.from_iterable(folder.glob(f"*{suffix}") for suffix in SUFFIXES)
    return zip((path.name for path in paths), repeat((-1, -1)))


def _grouped(files: Iterable[tuple[str, tuple[int, int]]]) -> _Found:
    """Return the images and JSONs by their names without suffix; other files are left out.

    Hidden ones, such as the `._sa_1.jpg` of macOS archives, are too.
    """
    found: _Found = {}
    for name, place in files:
        path = PurePosixPath(name)
        if path.suffix in SUFFIXES and not path.name.startswith("."):
            stem = name[: -len(path.suffix)]
            image, label = found.get(stem, (None, None))
            found[stem] = (place, label) if path.suffix == ".jpg" else (image, place)
    return found
