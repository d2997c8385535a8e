"""A dataset as a lazy sequence: all keys are known, and a sample is made when it is asked for."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import overload

import numpy as np

from maskspace.types import Category, Sample

_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image's bytes are.

    file: the file, relative to the dataset's root.
    offset, size: the bytes of the file that are the image.

    Example:
        >>> ImagePlace("sa_000001.tar", offset=512, size=1000).file
        'sa_000001.tar'
    """

    file: str
    offset: int
    size: int


class PackedNames(Sequence):  # of str; a checked parameter would make beartype read one
    """Names in one array: 11 million names of 12 letters take 132 MB; as a tuple 670 MB.

    `names` is read once, piece by piece, so that it may be a generator.

    Example:
        >>> names = PackedNames(f"photo-{index}" for index in range(3))
        >>> names[1], names[:2], len(names)
        ('photo-1', ['photo-0', 'photo-1'], 3)
    """

    def __init__(self, names: Iterable[str]) -> None:
        pieces, remaining = [np.zeros(0, "S1")], iter(names)
        while piece := [name for name, _ in zip(remaining, range(100_000), strict=False)]:
            pieces.append(np.array([name.encode("utf-8", "surrogatepass") for name in piece]))
        self._names = np.concatenate(pieces)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one name, or the list of names of a slice."""
        if isinstance(index, slice):
            return [_text(name) for name in self._names[index].tolist()]
        return _text(self._names[index])

    def __iter__(self) -> Iterator[str]:
        """Yield the names in order."""
        step = 100_000
        return chain.from_iterable(self[at : at + step] for at in range(0, len(self), step))


@dataclass(frozen=True, kw_only=True)
class Source(Sequence):  # of samples; a checked parameter would make beartype read one
    """What a reader returns: `len`, `[index]` and iteration, always in the same order.

    keys: the keys of the samples.
    splits: the source's own split of each sample; None if it has none.
    read: index -> sample; it can be pickled, so that other processes make single samples.
    groups: the scene, sequence or the like of each sample; a group does not fall in two splits
        (default None: every sample is a group of its own).
    image_place: index -> where the image is, so that a shard may point to it (default None).
    notes: lines on what the reader guessed and left out.
    categories: the table that annotations refer to (default: empty, no classes).
    files: whether samples come from files under the root (default True); else they are generated.

    A large source has compact sequences: `PackedNames` for keys and groups, `Repeated` for splits
    that are all the same.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> source = read_rectangles("", seed=0, limit=3)
        >>> len(source), source[2].key, source.groups is None
        (3, 'rectangles-000002', True)
    """

    keys: Sequence[str]
    splits: Sequence[str | None]
    read: Callable[[int], Sample]
    groups: Sequence[str] | None = None
    image_place: Callable[[int], ImagePlace] | None = None
    notes: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    files: bool = True

    def __post_init__(self) -> None:
        """Refuse keys that cannot name a record, and repeated keys or categories."""
        for key in self.keys:
            if not _KEY.fullmatch(key):
                raise ValueError(f"{key!r} cannot be a key; rename with letters, digits, _ and -")
        for key, times in repeated(self.keys):
            raise ValueError(f"{key}: {times} images share this key; rename all but one")
        if self.groups is not None and len(self.groups) != len(self.keys):
            raise ValueError(f"{len(self.groups)} groups for {len(self.keys)} keys; give one each")
        for number, times in Counter(category.id for category in self.categories).items():
            if times > 1:
                raise ValueError(f"{times} categories have the id {number}; give each its own")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.keys)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples in order."""
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Return one sample, or the list of samples of a slice."""
        if isinstance(index, slice):
            return [self.read(i) for i in range(len(self))[index]]
        return self.read(range(len(self))[index])


class Repeated(Sequence):  # of one value; see Source
    """One value for every sample, in the memory of one.

    Example:
        >>> splits = Repeated("train", 1000)
        >>> len(splits), splits[7], splits[:2]
        (1000, 'train', ['train', 'train'])
    """

    def __init__(self, value: str | None, number: int) -> None:
        self.value, self.number = value, number

    def __len__(self) -> int:
        """Return how many times the value is there."""
        return self.number

    @overload
    def __getitem__(self, index: int) -> str | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[str | None]: ...
    def __getitem__(self, index: int | slice) -> str | list[str | None] | None:
        """Return the value, or a list of it for a slice."""
        found = range(self.number)[index]
        return self.value if isinstance(found, int) else [self.value] * len(found)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def repeated(keys: Sequence[str]) -> list[tuple[str, int]]:
    """Return the keys that occur more than once, with their number; takes 8 bytes a key.

    Example:
        >>> repeated(["a", "b", "a"])
        [('a', 2)]
    """
    hashes = np.fromiter((hash(key) for key in keys), np.int64, len(keys))
    ordered = np.sort(hashes)
    twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    suspects = Counter(key for key in keys if hash(key) in twice) if twice else {}
    return [(key, times) for key, times in suspects.items() if times > 1]


def generated(name: str, *, limit: int | None, read: Callable[[int], Sample]) -> Source:
    """Return a generated dataset of `limit` samples with the keys `name-000000`, `name-000001`, ...

    ValueError without a limit.

    Example:
        >>> source = generated("toy", limit=2, read=lambda index: index)
        >>> source.keys, source.splits
        (('toy-000000', 'toy-000001'), (None, None))
    """
    if limit is None or limit < 0:
        raise ValueError(f"{name}: a generated dataset has no end; set limit to a whole number")
    keys = tuple(f"{name}-{index:06d}" for index in range(limit))
    return Source(keys=keys, splits=(None,) * limit, read=read, files=False)
