"""Samples to webdataset shards: `KEY.jpg` or another image, unchanged, and `KEY.json`.

A shard is the unit of work. Its content depends on the dataset and its parameters alone. So any
number of workers, killed any number of times, writes the same bytes. A shard appears whole or not
at all. A run continues another one: a shard is kept if its sidecar is there and its size agrees.
The hash, the counts and the places of the samples are collected while a shard is written.
"""

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from maskspace.config import Choice, choose, keyword_options, lookup
from maskspace.data.annotations import refine
from maskspace.data.config import ShardsConfig
from maskspace.data.counts import Tally
from maskspace.data.listings import files_stamp
from maskspace.data.manifest import (
    MANIFEST,
    SamplePlace,
    ShardFacts,
    Sidecar,
    categories_as_json,
    finished_shard,
    read_manifest,
    shards_folder,
    write_manifest,
    write_sidecar,
)
from maskspace.data.open_shards import Shards, open_shards
from maskspace.data.records import encode_record, read_sample, sample_places
from maskspace.data.source import ImagePlace, Source
from maskspace.data.splits import SPLITS, assign_splits, require_splits
from maskspace.data.tars import BLOCK
from maskspace.files import AnyPath, locate, write_json, writing
from maskspace.types import MapUnits, Reader, Sample

__all__ = [
    "MANIFEST",
    "SPLITS",
    "ShardFacts",
    "Shards",
    "finished_shard",
    "open_shards",
    "read_manifest",
    "read_sample",
    "sample_places",
    "shard_facts",
    "shards_folder",
    "write_dataset",
    "write_manifest",
    "write_shard",
]

PLAN = "plan.json"

#: What the files of the dataset were when its shards were begun.
INPUTS = "inputs.json"

#: Share of a dataset's samples that its reader may refuse.
REFUSED = 0.05

#: Samples that are looked at to find out how many make up a number of bytes.
PROBED = 32

_AT_ONCE = 2**20  # bytes that are hashed and written


@dataclass(frozen=True, kw_only=True, eq=False)
class _Unit:
    """A shard to write: its file and which samples of the source go in."""

    path: AnyPath
    indices: np.ndarray


def write_dataset(
    folder: str | AnyPath,
    name: str,
    config: ShardsConfig,
    readers: Mapping[str, Reader],
    *,
    map_units: MapUnits = map,
) -> AnyPath:
    """Write the shards of a dataset and its manifest in `folder`; return the manifest's path.

    Shards of the same dataset and parameters that are there already are kept, as long as every file
    under the root has the same size and time of change. A sample that its reader refuses is left
    out and listed in the manifest, with the reason (`ShardFacts.refused`): up to the share
    `REFUSED` of the samples, and at least one.

    ValueError if more samples are refused, for a folder with shards of other parameters, if
    `repack: false` does not fit the reader, and for a split that would be empty though its share is
    not 0.

    Args:
        folder: where the manifest goes, and the shards unless `config.store` says otherwise.
        name: name of the dataset.
        config: its section of `shards`.
        readers: name -> reader.
        map_units: maps a function over shards, here or on a cluster (default `map`).

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> import tempfile
        >>> from maskspace.data.config import SplitConfig
        >>> config = ShardsConfig(
        ...     reader=Choice(name="rectangles", options={}),
        ...     root=tempfile.mkdtemp(),
        ...     seed=0,
        ...     limit=3,
        ...     split=SplitConfig(mode="hash", val=0.0, test=0.0),
        ...     split_components=False,
        ...     min_component_area=1,
        ...     containment=0.95,
        ...     samples_per_shard=2,
        ...     repack=True,
        ...     store=".",
        ... )
        >>> readers = {"rectangles": read_rectangles}
        >>> manifest = write_dataset(tempfile.mkdtemp(), "toy", config, readers)
        >>> [one.name for one in open_shards(manifest.parent, "train").facts]
        ['train-000000.tar', 'train-000001.tar']
    """
    folder = absolute(folder)
    stored = folder if config.store == "." else absolute(config.store) / folder.name
    read = choose(readers, config.reader, kind="reader")
    source = read(str(absolute(config.root)), seed=config.seed, limit=config.limit)
    for note in source.notes:
        sys.stderr.write(f"{name}: {note}\n")
    if not config.repack and source.image_place is None:
        raise ValueError(f"{config.reader.name}: its images have to be copied; set repack to true")
    split = assign_splits(source, config.split)
    require_splits(split, config.split, root=config.root)
    details = {**_details(config, readers), **categories_as_json(source.categories)}
    if source.files:
        _forget_if_changed(stored, config.root)
    plan = _plan(stored, source, config, details)
    units = _units(stored, split, plan["samples_in_a_shard"])
    shard = partial(_write_unit, source=source, config=config)
    facts = list(map_units(shard, units))
    _require_few_refused(facts, source, name)
    notes = {"notes": list(source.notes)} if source.notes else {}
    written = {**details, "plan": plan, **notes}
    manifest = write_manifest(stored, facts, dataset=name, details=written)
    (stored / PLAN).unlink(missing_ok=True)
    if stored == folder:
        return manifest
    return write_json(folder / MANIFEST, {**read_manifest(stored), "stored_in": str(stored)})


def _forget_if_changed(stored: AnyPath, root: str) -> None:
    """Remove the plan, manifest and sidecars if the files of the dataset have changed.

    The state of the files is noted beside the shards; without that note the shards are trusted.
    """
    now, note = {"files_sha256": files_stamp(absolute(root))}, stored / INPUTS
    try:
        before = json.loads(note.read_bytes())
    except (FileNotFoundError, ValueError):
        before = now
    if before != now:
        for known in (PLAN, MANIFEST):
            (stored / known).unlink(missing_ok=True)
        for sidecar in stored.glob("*.tar.json"):
            sidecar.unlink()
    write_json(note, now)


def _require_few_refused(facts: Sequence[ShardFacts], source: Source, name: str) -> None:
    """Print which samples were refused; ValueError if there are too many."""
    refused = {key: why for one in facts for key, why in one.refused.items()}
    if not refused:
        return
    key, why = next(iter(refused.items()))
    message = f"{name}: {len(refused)} of {len(source)} samples cannot be read: {key} ({why})"
    if len(refused) > max(1, int(REFUSED * len(source))) or len(refused) == len(source):
        raise ValueError(f"{message}; more than {REFUSED:.0%}; mend the data")
    sys.stderr.write(f"{message}; left out, and listed in {MANIFEST}\n")


def absolute(place: str | AnyPath) -> AnyPath:
    """Return a path that means the same in any working folder.

    Example:
        >>> absolute("build").is_absolute()
        True
    """
    path = locate(place)
    return path.resolve() if isinstance(path, Path) else path


def _details(config: ShardsConfig, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Return the dataset's parameters with the defaults of the reader's options filled in."""
    options = keyword_options(lookup(readers, config.reader.name, kind="reader"))
    chosen = {k: v for k, v in options.items() if k not in ("seed", "limit")}
    reader = Choice(name=config.reader.name, options={**chosen, **config.reader.options})
    return {**asdict(config), "reader": asdict(reader)}


def _plan(
    stored: AnyPath, source: Source, config: ShardsConfig, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what decides which samples go into which shard; it is stored, and computed once.

    It holds a hash of the keys and the parameters, and the number of samples in a shard.
    """
    digest = hashlib.sha256(json.dumps(details, sort_keys=True).encode())
    for key in source.keys:
        digest.update(f"{key}\0".encode())
    plan = _kept_plan(stored)
    if plan is None:
        size = config.samples_per_shard
        number = size if isinstance(size, int) else _fitting(size.bytes, source, config)
        plan = {"inputs_sha256": digest.hexdigest(), "samples_in_a_shard": number}
        write_json(stored / PLAN, plan)
    if plan["inputs_sha256"] != digest.hexdigest():
        raise ValueError(f"{stored}: has shards of other parameters or samples; empty it")
    return plan


def _kept_plan(stored: AnyPath) -> dict[str, Any] | None:
    for name in (MANIFEST, PLAN):
        try:
            value = json.loads((stored / name).read_bytes())
        except (FileNotFoundError, ValueError):
            continue
        plan = value.get("plan") if name == MANIFEST else value
        if plan is not None:
            return plan
    return None


def _fitting(shard_bytes: int, source: Source, config: ShardsConfig) -> int:
    """Return how many samples fill a shard of so many bytes, estimated on evenly spread ones."""
    probed = min(PROBED, len(source))
    picked = [(2 * i + 1) * len(source) // (2 * probed) for i in range(probed)]
    sizes = 0
    for sample, place in _samples(picked, source, config, {}):
        sizes += _in_tar(len(encode_record(sample, place=place)))
        sizes += 0 if place else _in_tar(len(sample.image))
    return max(1, shard_bytes * probed // max(1, sizes))


def _in_tar(size: int) -> int:
    return BLOCK + -(-size // BLOCK) * BLOCK


def _units(stored: AnyPath, split: np.ndarray, step: int) -> list[_Unit]:
    return [
        _Unit(
            path=stored / f"{name}-{number:06d}.tar",
            indices=chosen[number * step : (number + 1) * step],
        )
        for chosen, name in ((np.flatnonzero(split == i), s) for i, s in enumerate(SPLITS))
        for number in range(-(-len(chosen) // step))
    ]


def _write_unit(unit: _Unit, *, source: Source, config: ShardsConfig) -> ShardFacts:
    finished = finished_shard(unit.path)
    refused: dict[str, str] = {}
    samples = _samples(unit.indices.tolist(), source, config, refused)
    return finished or _write(unit.path, samples, refused)


def _samples(
    indices: Iterable[int], source: Source, config: ShardsConfig, refused: dict[str, str]
) -> Iterator[tuple[Sample, ImagePlace | None]]:
    """Yield samples as they are written, with the places of their images if these stay there.

    Those that cannot be read are noted in `refused`, by key.
    """
    for index in indices:
        try:
            sample_read = source[index]
        except (ValueError, OSError) as error:
            refused[source.keys[index]] = str(error)
            continue
        sample = refine(
            sample_read,
            split_components=config.split_components,
            min_component_area=config.min_component_area,
            containment=config.containment,
        )
        place = source.image_place
        yield sample, None if config.repack or place is None else place(index)


def write_shard(path: AnyPath, samples: Iterable[Sample]) -> ShardFacts:
    """Write a tar of samples, whole or not at all, then its sidecar.

    The same samples give the same bytes.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> import tempfile
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> write_shard(shard, read_rectangles("", seed=0, limit=2)).samples
        2
    """
    return _write(path, ((sample, None) for sample in samples), {})


def _write(
    path: AnyPath,
    samples: Iterable[tuple[Sample, ImagePlace | None]],
    refused: Mapping[str, str],
) -> ShardFacts:
    from webdataset.writer import TarWriter  # a second to import, and reading needs none of it

    tally, places = Tally(), []
    with writing(path) as file:
        hashed = _Hashed(file)
        buffered = io.BufferedWriter(hashed, _AT_ONCE)
        tar = TarWriter(buffered, user="", group="", mode=0o644, mtime=0, encoder=False)
        # its own writes as to a tape, 10 kB at a time; hashing and writing prefer more
        tar.tarstream = tarfile.TarFile(fileobj=buffered, mode="w", copybufsize=_AT_ONCE)
        for sample, place in samples:
            image = b"" if place else sample.image
            places.append(_add(tar, sample, image, encode_record(sample, place=place)))
            tally.add(sample)
        tar.close()
        buffered.flush()
    counts = tally.counts()
    facts = ShardFacts(
        name=path.name,
        samples=counts.samples,
        masks=counts.masks,
        bytes=hashed.size,
        sha256=hashed.sha256.hexdigest(),
        refused=refused,
        counts=counts,
    )
    write_sidecar(path, Sidecar(facts=facts, places=tuple(places)))
    return facts


def shard_facts(path: AnyPath) -> ShardFacts:
    """Return the facts of a shard by reading all of it; its sidecar is not used.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> import tempfile
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> written = write_shard(shard, read_rectangles("", seed=0, limit=2))
        >>> shard_facts(shard) == written
        True
    """
    tally = Tally()
    for image, label in sample_places(path):
        tally.add(read_sample(path, image, label))
    content, counts = path.read_bytes(), tally.counts()
    return ShardFacts(
        name=path.name,
        samples=counts.samples,
        masks=counts.masks,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        counts=counts,
    )


def _add(tar: Any, sample: Sample, image: bytes, record: bytes) -> SamplePlace:
    """Append a sample, members in the order of their names, and return where it is."""
    begin = tar.tarstream.offset
    image_name = f"{sample.key}.{sample.extension}"
    contents = {"json": record, **({sample.extension: image} if image else {})}
    places = {}
    for extension in sorted(contents):
        tar.write({"__key__": sample.key, extension: contents[extension]})
        size = len(contents[extension])
        places[extension] = (tar.tarstream.offset - _in_tar(size) + BLOCK, size)
    label = places["json"]
    return SamplePlace(image_name, *places.get(sample.extension, (begin, 0)), *label)


class _Hashed(io.RawIOBase):
    """A file that is written to, its bytes counted and hashed as they pass."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self.size

    def write(self, content: Any, /) -> int:
        """Write bytes and return their number."""
        self.sha256.update(content)
        written = self._file.write(content)
        self.size += written
        return written
