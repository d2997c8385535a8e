"""The samples of shards, wherever they are: any one by its index, or all in order."""

import bisect
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, overload

from maskspace.data.manifest import (
    SamplePlace,
    ShardFacts,
    categories_of,
    facts_of,
    read_manifest,
    read_sidecar,
    shards_folder,
)
from maskspace.data.records import (
    Record,
    image_path,
    open_image_file,
    parse_record,
    read_pointed_image,
    sample_of,
    sample_places,
)
from maskspace.data.splits import SPLITS
from maskspace.data.tars import Member
from maskspace.files import AnyPath, LocalFile, RemoteFile, locate, open_ranged, read_exactly
from maskspace.types import Category, Sample

#: Files that are kept open, with their places in memory: 128 kB for a shard of 1000 samples.
OPEN_FILES = 256

#: Bytes that are read at once when samples are asked for in order.
SPAN_BYTES = 8 * 2**20

#: Bytes between two samples that are read and dropped, so that there is one read less: what a
#: request to an object store costs in time.
GAP_BYTES = 2**19


def open_shards(folder: str | AnyPath, split: str) -> "Shards":
    """Return the samples of a split in a folder of shards; each is read when it is asked for.

    Records that the manifest lists as `excluded` are left out; validation writes that list.

    Args:
        folder: a path or any URL that fsspec knows; https:// can be read from, too.
        split: "train", "val" or "test".

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> shards = open_shards(folder, "train")
        >>> len(shards), shards[1].key
        (2, 'rectangles-000001')
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; choose one of {', '.join(SPLITS)}")
    manifest = read_manifest(folder)
    place, facts = shards_folder(folder, manifest), facts_of(manifest, split)
    paths = [place / one.name for one in facts]
    return Shards(
        paths,
        facts,
        images=images_root(manifest),
        excluded=manifest.get("excluded"),
        categories=categories_of(manifest),
    )


def images_root(manifest: dict[str, Any]) -> AnyPath | None:
    """Return the folder of the images that shards point to; None if the shards hold them.

    It is relative to the current folder if the dataset's root was given so.

    Example:
        >>> images_root({"repack": True}) is None
        True
        >>> str(images_root({"repack": False, "root": "photos"}))
        'photos'
    """
    return None if manifest.get("repack", True) else locate(manifest["root"])


class _Opened:
    """A shard that is open: its file and the places of its samples."""

    def __init__(self, path: AnyPath, facts: ShardFacts, excluded: Sequence[int]) -> None:
        try:
            self.file = open_ranged(path)
        except FileNotFoundError:
            raise ValueError(f"{path}: missing, its manifest lists it; make it again") from None
        if isinstance(self.file, LocalFile) and self.file.size() != facts.bytes:
            raise ValueError(
                f"{path}: has {self.file.size()} bytes, its manifest says {facts.bytes}; "
                "make the shard again"
            )
        self.places = _places(path, facts)
        if excluded:
            left_out = frozenset(excluded)
            self.places = [p for row, p in enumerate(self.places) if row not in left_out]


def _places(path: AnyPath, facts: ShardFacts) -> Sequence[SamplePlace]:
    """Return the places from the sidecar of this very shard, else from the headers of the tar."""
    sidecar = read_sidecar(path)
    if sidecar is not None and sidecar.facts == facts and len(sidecar.places) == facts.samples:
        return sidecar.places
    places = [_place(image, label) for image, label in sample_places(path)]
    if len(places) != facts.samples:
        raise ValueError(
            f"{path}: holds {len(places)} samples, its manifest says {facts.samples}; "
            "make the shards again"
        )
    return places


def _place(image: Member | None, label: Member) -> SamplePlace:
    if image is None:
        return SamplePlace(label.name, 0, 0, label.offset, label.size)
    return SamplePlace(image.name, image.offset, image.size, label.offset, label.size)


class Shards(Sequence):  # of samples; a checked parameter would make beartype read one
    """Samples in the order of their shards; each is one ranged read of its shard.

    A shard is opened when one of its samples is first asked for. Reads keep no position, and a
    forked or pickled copy opens its own files, so that copies share nothing. Iteration and
    `read_range` read many samples at once.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> shards = open_shards(folder, "train")
        >>> [sample.key for sample in shards]
        ['rectangles-000000', 'rectangles-000001']
        >>> shards.place_of(1)  # shard, row
        (0, 1)
    """

    def __init__(
        self,
        paths: Sequence[AnyPath],
        facts: Sequence[ShardFacts],
        *,
        images: AnyPath | None,
        excluded: Mapping[str, Sequence[int]] | None = None,
        categories: Sequence[Category] = (),
    ) -> None:
        self.paths, self.facts, self.images = tuple(paths), tuple(facts), images
        self.categories = tuple(categories)
        self.excluded = dict(excluded or {})
        self.ends = list(
            accumulate(one.samples - len(set(self.excluded.get(one.name, ()))) for one in facts)
        )
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._shards: OrderedDict[int, _Opened] = OrderedDict()
        self._images: OrderedDict[AnyPath, LocalFile | RemoteFile] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: no open file."""
        names = ("paths", "facts", "images", "excluded", "categories", "ends")
        return {key: value for key, value in vars(self).items() if key in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become the copy."""
        vars(self).update(state)
        self._forget()

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.ends[-1] if self.ends else 0

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples in order."""
        return self.read_range(0, len(self))

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Return one sample, or the list of samples of a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        return next(self.read_range(index, index + 1))

    def read_range(self, start: int, stop: int) -> Iterator[Sample]:
        """Yield the samples from `start` to before `stop`; a read takes a few megabytes."""
        return (stored.sample() for _, stored in self.read_stored(range(start, stop)))

    def read_stored(self, indices: Iterable[int]) -> Iterator[tuple[int, "StoredSample"]]:
        """Yield the samples at ascending indices as they are stored; neighbours share a read.

        Bytes between two near samples are read too, and dropped. ValueError for a shard that cannot
        be read; a damaged record raises it in `StoredSample.sample`.
        """
        for shard, group in groupby(indices, key=lambda index: self.place_of(index)[0]):
            opened = self._shard(shard)
            first = self.ends[shard - 1] if shard else 0
            rows = [index - first for index in group]
            for span in _spans(opened.places, rows):
                for row, stored in zip(span, self._read_span(shard, opened, span), strict=True):
                    yield first + row, stored

    def bytes_of(self, index: int) -> int:
        """Return the number of bytes of a sample in its shard."""
        shard, row = self.place_of(index)
        place = self._shard(shard).places[row]
        return _end(place) - _begin(place)

    def place_of(self, index: int) -> tuple[int, int]:
        """Return the number of the shard of a sample, and the sample's number in it."""
        shard = bisect.bisect_right(self.ends, index)
        return shard, index - (self.ends[shard - 1] if shard else 0)

    def _shard(self, shard: int) -> _Opened:
        if self._process != os.getpid():
            self._forget()
        facts = self.facts[shard]
        opened = self._shards.pop(shard, None) or _Opened(
            self.paths[shard], facts, self.excluded.get(facts.name, ())
        )
        self._shards[shard] = opened
        while len(self._shards) > OPEN_FILES:
            self._shards.popitem(last=False)
        return opened

    def _read_span(
        self, shard: int, opened: _Opened, span: Sequence[int]
    ) -> Iterator["StoredSample"]:
        places = [opened.places[row] for row in span]
        begin, end = _begin(places[0]), max(map(_end, places))
        path = self.paths[shard]
        content = memoryview(read_exactly(opened.file, begin, end - begin, name=str(path)))
        for place in places:
            yield StoredSample(
                where=f"{path}:{place.image}",
                name=place.image,
                label=bytes(_slice(content, begin, place.label_offset, place.label_size)),
                image=bytes(_slice(content, begin, place.image_offset, place.image_size)),
                elsewhere=self._read_image,
            )

    def _read_image(self, record: Record, where: str) -> bytes:
        """Return an image that lies outside of the shards; it is checked, nobody else guards it."""
        path = image_path(record, self.images, where=where)
        file = self._images.pop(path, None) or open_image_file(path, where=where)
        self._images[path] = file
        while len(self._images) > OPEN_FILES:
            self._images.popitem(last=False)
        return read_pointed_image(record, file, where=f"{path}, for {where}")


@dataclass(frozen=True, kw_only=True)
class StoredSample:
    """A sample as a shard stores it: bytes that have not been parsed yet.

    where: the beginning of errors.
    name: the member of the image, `KEY.EXTENSION`.
    label, image: the bytes of the two members; no image if the record points to one.
    elsewhere: reads an image that a record points to.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> shards = open_shards(folder, "train")
        >>> index, stored = next(shards.read_stored([1]))
        >>> stored.name, stored.sample().key
        ('rectangles-000001.png', 'rectangles-000001')
    """

    where: str
    name: str
    label: bytes
    image: bytes
    elsewhere: Callable[[Record, str], bytes]

    def sample(self) -> Sample:
        """Return the sample; ValueError that names it if it is damaged."""
        record = parse_record(self.label, where=self.where)
        key, _, extension = self.name.rpartition(".")
        if record.key != key:
            raise ValueError(f"{self.where}: its record's key is {record.key}; make it again")
        if record.place is None:
            return sample_of(record, self.image, extension, where=self.where)
        image = self.elsewhere(record, self.where)
        return sample_of(record, image, record.extension or "", where=self.where)


def _spans(places: Sequence[SamplePlace], rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield ascending rows in runs that are read at once, with what lies between them."""
    first = 0
    for number in range(1, len(rows)):
        before, place = places[rows[number - 1]], places[rows[number]]
        is_far = _begin(place) - _end(before) > GAP_BYTES
        if is_far or _end(place) - _begin(places[rows[first]]) > SPAN_BYTES:
            yield rows[first:number]
            first = number
    if len(rows):
        yield rows[first:]


def _begin(place: SamplePlace) -> int:
    return min(place.image_offset, place.label_offset) if place.image_size else place.label_offset


def _end(place: SamplePlace) -> int:
    return max(place.image_offset + place.image_size, place.label_offset + place.label_size)


def _slice(content: memoryview, begin: int, offset: int, size: int) -> memoryview:
    return content[offset - begin : offset - begin + size]
