"""A dataset as a lazy sequence of samples: every key is known, a sample is made when asked for."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from maskspace.types import Sample


@dataclass(frozen=True, kw_only=True)
class Source(Sequence):  # of samples; a checked parameter would make beartype read one
    """What a reader returns: `len`, `[index]` and iteration in an order that is always the same.

    `read(index)` is picklable, so that other processes can make single samples. `splits` holds the
    source's own split of each sample, or None where it has none. `groups` names what each sample
    shares with its like (its scene, its sequence), so that no group falls in two splits; None where
    every sample is a group of its own.
    """

    keys: tuple[str, ...]
    splits: tuple[str | None, ...]
    read: Callable[[int], Sample]
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse keys that could not name a record."""
        for key, times in Counter(self.keys).items():
            if times > 1:
                raise ValueError(f"{key}: {times} images share this key; rename all but one")
            if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
                raise ValueError(f"{key!r} cannot be a key; rename with letters, digits, _ and -")
        if self.groups is not None and len(self.groups) != len(self.keys):
            raise ValueError(f"{len(self.groups)} groups for {len(self.keys)} keys; give one each")

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


def generated(name: str, *, limit: int | None, read: Callable[[int], Sample]) -> Source:
    """Return a generated dataset of `limit` samples with the keys `name-000000` and so on."""
    if limit is None or limit < 0:
        raise ValueError(f"{name}: a generated dataset has no end; set limit to a whole number")
    keys = tuple(f"{name}-{index:06d}" for index in range(limit))
    return Source(keys=keys, splits=(None,) * limit, read=read)
