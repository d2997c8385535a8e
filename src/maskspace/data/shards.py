"""Samples to webdataset shards and back: `KEY.jpg` or `KEY.png` untouched, and `KEY.json`.

A shard is the unit of work. What it holds depends on the dataset and its parameters alone, so that
any number of workers, killed any number of times, writes the same bytes; it appears by a rename, so
that one that exists is whole. `manifest.json` counts them and holds their hashes.
"""

import bisect
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

from maskspace.config import Choice, choose, keyword_options, lookup
from maskspace.data.annotations import refine
from maskspace.data.config import ShardsConfig, SplitConfig
from maskspace.data.source import Source
from maskspace.data.tars import Member, members, read_member
from maskspace.types import Annotation, Reader, Sample

SPLITS = ("train", "val", "test")
MANIFEST = "manifest.json"

#: Applies a function to every unit of work and gives the results in order, here or on a cluster.
MapUnits = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """What the manifest says of one shard."""

    name: str
    samples: int
    masks: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """A shard to write: its file and which samples of the source go in."""

    path: Path
    indices: tuple[int, ...]


def split_of(key: str, own: str | None, config: SplitConfig) -> str:
    """Return "train", "val" or "test" for the key, given the source's own split of it."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if config.mode == "source":
        if own not in SPLITS:
            raise ValueError(f"{key}: the source has no split for it; set split.mode to hash")
        return "test" if own != "train" else "val" if share < config.val else "train"
    return "test" if share < config.test else "val" if share < config.test + config.val else "train"


def write_dataset(
    folder: Path,
    name: str,
    config: ShardsConfig,
    readers: Mapping[str, Reader],
    *,
    map_units: MapUnits = map,
) -> Path:
    """Write the shards of a dataset and its manifest in `folder`, and return the manifest's path.

    Shards that are already in `folder` are kept: it has to be the folder of this very dataset and
    parameters. Raises ValueError for a split that would be empty though its share is not 0.
    """
    read = choose(readers, config.reader, kind="reader")
    source = read(config.root, seed=config.seed, limit=config.limit)
    units = _units(folder, source, config)
    shard = partial(_write_unit, source=source, config=config)
    facts = list(map_units(shard, units))
    return write_manifest(folder, facts, dataset=name, details=_details(config, readers))


def _units(folder: Path, source: Source, config: ShardsConfig) -> list[_Unit]:
    chosen: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index, (key, own) in enumerate(zip(source.keys, source.splits, strict=True)):
        chosen[split_of(key, own, config.split)].append(index)
    shares = {"train": 1.0, "val": config.split.val, "test": config.split.test}
    for split, indices in chosen.items():
        if not indices and shares[split] > 0:
            raise ValueError(
                f"{config.root}: none of its {len(source)} samples falls in the split {split}; "
                "raise limit or the share of the split"
            )
    step = config.samples_per_shard
    return [
        _Unit(
            path=folder / f"{split}-{number:06d}.tar",
            indices=tuple(indices[number * step : (number + 1) * step]),
        )
        for split, indices in chosen.items()
        for number in range(-(-len(indices) // step))
    ]


def _write_unit(unit: _Unit, *, source: Source, config: ShardsConfig) -> ShardFacts:
    if not unit.path.exists():
        samples = (
            refine(
                source[index],
                split_components=config.split_components,
                min_component_area=config.min_component_area,
                containment=config.containment,
            )
            for index in unit.indices
        )
        write_shard(unit.path, samples)
    return shard_facts(unit.path)


def _details(config: ShardsConfig, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Return the dataset's parameters with the defaults of the reader's options filled in."""
    options = keyword_options(lookup(readers, config.reader.name, kind="reader"))
    chosen = {k: v for k, v in options.items() if k not in ("seed", "limit")}
    reader = Choice(name=config.reader.name, options={**chosen, **config.reader.options})
    return {**asdict(config), "reader": asdict(reader)}


def write_shard(path: Path, samples: Iterable[Sample]) -> None:
    """Write a tar of samples that appears whole or not at all; same samples, same bytes."""
    from webdataset.writer import TarWriter  # a second to import, and reading needs none of it

    partial_path = path.with_name(f"{path.name}.partial")
    with partial_path.open("wb") as file:
        writer = TarWriter(file, user="", group="", mode=0o644, mtime=0, encoder=False)
        for sample in samples:
            record = json.dumps(_record(sample), sort_keys=True, separators=(",", ":"))
            writer.write(
                {"__key__": sample.key, sample.extension: sample.image, "json": record.encode()}
            )
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    partial_path.replace(path)


def shard_facts(path: Path) -> ShardFacts:
    """Return the counts, size and hash of a shard, from reading all of it."""
    samples = [read_sample(path, *pair) for pair in sample_places(path)]
    content = path.read_bytes()
    return ShardFacts(
        name=path.name,
        samples=len(samples),
        masks=sum(len(sample.annotations) for sample in samples),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def write_manifest(
    folder: Path, facts: Iterable[ShardFacts], *, dataset: str, details: Mapping[str, Any]
) -> Path:
    """Write `manifest.json` for the shards `SPLIT-NNNNNN.tar` in `folder`; return its path.

    `details` is added as it is: the parameters that the shards were made with. Partial files that a
    kill has left in the folder are removed.
    """
    for stray in folder.glob("*.partial"):
        stray.unlink()
    ordered = sorted(facts, key=lambda one: (SPLITS.index(one.name.split("-")[0]), one.name))
    splits = {
        split: _sum(split, [one for one in ordered if one.name.startswith(f"{split}-")])
        for split in SPLITS
    }
    totals = {key: sum(splits[s][key] for s in SPLITS) for key in ("samples", "masks", "bytes")}
    manifest = {"dataset": dataset, "splits": splits, "totals": totals, **details}
    return write_json(folder / MANIFEST, manifest)


def _sum(split: str, facts: list[ShardFacts]) -> dict[str, Any]:
    counts = {key: sum(getattr(one, key) for one in facts) for key in ("samples", "masks", "bytes")}
    return {**counts, "shards": [asdict(one) for one in facts]}


def write_json(path: Path, value: object) -> Path:
    """Write JSON that appears whole or not at all, and return its path."""
    return write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Write a text file that appears whole or not at all, and return its path."""
    partial_path = path.with_name(f"{path.name}.partial")
    partial_path.write_text(text)
    partial_path.replace(path)
    return path


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder of shards."""
    try:
        return json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise ValueError(f"{folder}: no {MANIFEST}; run `dvc repro --pull` to make it") from None
    except ValueError as error:
        raise ValueError(f"{folder / MANIFEST}: not JSON ({error}); make it again") from None


def open_shards(folder: Path, split: str) -> "Shards":
    """Return the samples of "train", "val" or "test" in a folder of shards, read when asked for."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; choose one of {', '.join(SPLITS)}")
    listed = read_manifest(folder)["splits"][split]["shards"]
    return Shards([folder / one["name"] for one in listed], [one["samples"] for one in listed])


class Shards(Sequence):  # of samples; a checked parameter would make beartype read one
    """Samples in the order of their shards; any one is read on its own, by tar and offset.

    The headers of a shard are scanned once, when a sample of it is first asked for. Files are
    opened for each read, so that forked and pickled copies share no position.
    """

    def __init__(self, paths: Sequence[Path], counts: Sequence[int]) -> None:
        self.paths = tuple(paths)
        self._ends = [sum(counts[: i + 1]) for i in range(len(counts))]
        self._pairs: dict[int, list[tuple[Member, Member]]] = {}

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._ends[-1] if self._ends else 0

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
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        shard = bisect.bisect_right(self._ends, index)
        if shard not in self._pairs:
            self._pairs[shard] = self._scan(shard)
        start = self._ends[shard - 1] if shard else 0
        return read_sample(self.paths[shard], *self._pairs[shard][index - start])

    def _scan(self, shard: int) -> list[tuple[Member, Member]]:
        pairs = sample_places(self.paths[shard])
        said = self._ends[shard] - (self._ends[shard - 1] if shard else 0)
        if len(pairs) != said:
            raise ValueError(
                f"{self.paths[shard]}: holds {len(pairs)} samples, its manifest says {said}; "
                "make the shards again"
            )
        return pairs


def sample_places(path: Path) -> list[tuple[Member, Member]]:
    """Return the image and the JSON of each sample in a shard, in order."""
    grouped: dict[str, list[Member]] = {}
    for member in members(path):
        grouped.setdefault(member.name.rsplit(".", 1)[0], []).append(member)
    pairs = []
    for key, group in grouped.items():
        labels = [member for member in group if member.name.endswith(".json")]
        images = [member for member in group if not member.name.endswith(".json")]
        if len(labels) != 1 or len(images) != 1:
            raise ValueError(f"{path}:{key}: not one image and one JSON; make the shard again")
        pairs.append((images[0], labels[0]))
    return pairs


def read_sample(path: Path, image: Member, label: Member) -> Sample:
    """Return the sample whose image and JSON are at these places of a shard."""
    key, extension = image.name.rsplit(".", 1)
    try:
        record = json.loads(read_member(path, label))
        annotations = tuple(_annotation(one) for one in record.pop("annotations"))
        record["size_hw"] = tuple(record["size_hw"])
        sample = Sample(
            image=read_member(path, image),
            extension=extension,
            annotations=annotations,
            **record,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}:{label.name}: not a record ({error}); make it again") from None
    if sample.key != key:
        raise ValueError(f"{path}:{label.name}: says its key is {sample.key}; make it again")
    return sample


def _annotation(record: dict[str, Any]) -> Annotation:
    return Annotation(**{**record, "box_xywh": tuple(record["box_xywh"])})


def _record(sample: Sample) -> dict[str, Any]:
    record = asdict(sample)
    del record["image"], record["extension"]
    return record
