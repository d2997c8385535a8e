"""Check every expectation on the shards of a dataset, in bounded memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from maskspace.data.expectations.check import Checker
from maskspace.data.expectations.config import ValidateConfig
from maskspace.data.expectations.dataset import Index
from maskspace.data.expectations.measures import Columns
from maskspace.data.expectations.report import Report, Where
from maskspace.data.expectations.suites import EXPECTATIONS, suite
from maskspace.data.expectations.tables import PART, Inspected, Part, inspect
from maskspace.data.manifest import read_manifest, shards_folder
from maskspace.data.open_shards import images_root
from maskspace.data.records import sample_places
from maskspace.files import AnyPath
from maskspace.types import MapUnits


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """A shard and what the manifest says of it."""

    path: AnyPath
    split: str
    said: Mapping[str, Any]


def validate_shards(
    folder: str | AnyPath, config: ValidateConfig, *, map_units: MapUnits = map
) -> Report:
    """Check every expectation on the shards in `folder`, read part by part through `map_units`.

    A tar that the manifest does not list is checked as if it were listed as empty. At most
    `config.rows_per_check` masks and those of one more part are held at a time, at 170 bytes each,
    and 62 bytes a record. With a quarantine, raises ValueError in one line as soon as more records
    are bad than it takes, or a whole shard is.
    """
    manifest = read_manifest(folder)
    shards = _listed(shards_folder(folder, manifest), manifest)
    kind = str(manifest.get("reader", {}).get("name", manifest["dataset"]))
    refused = _refused(shards, config)
    run = _Run(shards, _checker(kind, manifest, config), config)
    index = Index(min_contrast=config.min_contrast)
    look = partial(
        inspect,
        kind=kind,
        images=images_root(manifest),
        datasets=(kind, str(manifest["dataset"])),
        near_iou=config.near_iou,
        max_bytes=config.max_record_bytes,
    )
    for found in map_units(look, _parts(shards)):
        index.add(found)
        run.add(found)
    run.finish(index.columns(near_bits=config.near_bits))
    return Report(
        dataset=str(manifest["dataset"]),
        kind=kind,
        shards=tuple(shard.path.name for shard in shards),
        records=run.records,
        outcomes=run.checker.outcomes(),
        bad={place: tuple(names) for place, names in sorted(run.bad.items())},
        refused=refused,
    )


def _refused(shards: "Sequence[_Shard]", config: ValidateConfig) -> dict[str, tuple[str, str]]:
    """Return the samples that their reader refused: key -> shard, reason; ValueError if too many.

    They are no records, but count as bad ones: none is allowed where there is no quarantine.
    """
    found = {
        key: (shard.path.name, str(why))
        for shard in shards
        for key, why in shard.said.get("refused", {}).items()
    }
    total = len(found) + sum(shard.said["samples"] for shard in shards)
    rate = config.quarantine.rate if config.quarantine else 0.0
    if len(found) > rate * total:
        key, (_, why) = next(iter(found.items()))
        raise ValueError(
            f"{key}: refused by its reader ({why}); that makes {len(found)} of {total}, "
            f"validate.quarantine.rate allows {rate:g}; mend the data"
        )
    return found


def _checker(kind: str, manifest: Mapping[str, Any], config: ValidateConfig) -> Checker:
    chosen = suite(
        kind,
        config.severities,
        min_coverage=config.min_coverage,
        split_components=bool(manifest.get("split_components", False)),
    )
    bounds = {
        **vars(config),
        "containment": float(manifest["containment"]),
        "least_coverage": config.min_coverage.get(kind, 0.0),
        "lowest_z": -config.outlier_z,
        "highest_z": config.outlier_z,
    }
    return Checker(chosen, bounds)


def _listed(folder: AnyPath, manifest: Mapping[str, Any]) -> list[_Shard]:
    listed = {
        said["name"]: _Shard(path=folder / said["name"], split=split, said=said)
        for split, part in manifest["splits"].items()
        for said in part["shards"]
    }
    nothing = {"samples": 0, "masks": 0, "bytes": 0, "sha256": "not in the manifest"}
    for path in sorted(folder.glob("*.tar")):
        split = path.name.split("-")[0]
        listed.setdefault(path.name, _Shard(path=path, split=split, said=nothing))
    return list(listed.values())


def _parts(shards: Sequence[_Shard]) -> list[Part]:
    """Return the parts of all shards, in order; the last of each ends where the shard does."""
    parts: list[Part] = []
    for number, shard in enumerate(shards):
        starts = range(0, max(1, shard.said["samples"]), PART)
        for first in starts:
            last = -1 if first == starts[-1] else first + PART
            parts.append(
                Part(shard=number, path=shard.path, split=shard.split, first=first, last=last)
            )
    return parts


@dataclass
class _Run:
    """What is gathered while parts come in: rows to check next, and what was found before."""

    shards: Sequence[_Shard]
    checker: Checker
    config: ValidateConfig
    bad: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    records: int = 0
    _waiting: list[Inspected] = field(default_factory=list)
    _facts: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, found: Inspected) -> None:
        """Take a part, and check what has come in once it is enough."""
        self._waiting.append(found)
        self.records += len(found.names)
        facts = self._facts.setdefault(
            found.part.shard, {**found.facts, "masks": 0, "unreadable": 0}
        )
        facts["masks"] += len(found.masks["id"])
        facts["unreadable"] += len(found.problems)
        if sum(len(one.masks["id"]) for one in self._waiting) >= self.config.rows_per_check:
            self._check_waiting()

    def finish(self, dataset: Columns) -> None:
        """Check what is left, then the shards, and every record against all others."""
        self._check_waiting()
        self._check("shards", _shard_columns(self.shards, self._facts), self._of_shard)
        rows = self.config.rows_per_check
        for start in range(0, max(1, len(dataset["shard"])), rows):
            piece = {name: column[start : start + rows] for name, column in dataset.items()}
            self._check("dataset", piece, partial(self._of_dataset, dataset=dataset, start=start))

    def _check_waiting(self) -> None:
        parts, self._waiting = self._waiting, []
        if parts:
            records, images, masks = _joined(parts)
            names = partial(_record_name, parts=parts, images=images, masks=masks)
            self._check("records", records, partial(names, table=records))
            self._check("images", images, partial(names, table=images))
            self._check("masks", masks, partial(names, table=masks))

    def _check(self, table: str, columns: Columns, where: "_Where") -> None:
        for name, broken in self.checker.check(table, columns):
            self.checker.tell(name, broken, columns, partial(where, name))
            if self.config.quarantine and self.checker.tallies[name].severity == "error":
                self._condemn(name, broken, columns, partial(where, name))

    def _condemn(
        self, name: str, rows: np.ndarray, columns: Columns, where: Callable[[int], Where]
    ) -> None:
        """Note the records that break an expectation; raise where they are too many."""
        assert self.config.quarantine is not None
        first = where(int(rows[0])).name
        if "position" not in columns:
            raise ValueError(
                f"{first}: breaks {name!r}, and a whole shard is more than the quarantine takes; "
                "make the shards again"
            )
        places = np.stack([columns["shard"][rows], columns["position"][rows]], axis=1)
        for shard, position in np.unique(places, axis=0).tolist():
            names = self.bad.setdefault((shard, position), [])
            if name not in names:
                names.append(name)
        total = sum(shard.said["samples"] for shard in self.shards)
        rate = self.config.quarantine.rate
        refused = sum(len(shard.said.get("refused", {})) for shard in self.shards)
        if len(self.bad) + refused > rate * (total + refused):
            raise ValueError(
                f"{first}: breaks {name!r}; that makes {len(self.bad)} bad records of {total} or "
                f"more, validate.quarantine.rate allows {rate:g}; mend the data"
            )

    def _of_shard(self, name: str, row: int) -> Where:
        problem = self._facts[row]["problem"]
        file = self.shards[row].path
        told = problem.removeprefix(f"{file.parent}/") or file.name
        return Where(told if name == "the tar is whole and safe" else file.name, row, -1)

    def _of_dataset(self, name: str, row: int, *, dataset: Columns, start: int) -> Where:
        row += start
        shard, position = int(dataset["shard"][row]), int(dataset["position"][row])
        told = _stem(self.shards[shard].path, position)
        column = dataset[EXPECTATIONS[name].columns[0]]
        if column.dtype.kind == "i":
            twin = int(column[row])
            other = self.shards[int(dataset["shard"][twin])]
            named = _stem(other.path, int(dataset["position"][twin]))
            told = f"{told} (as {named} of {other.split})"
        return Where(told, shard, position)


_Where = Callable[[str, int], Where]


def _record_name(
    name: str,
    row: int,
    *,
    parts: Sequence[Inspected],
    images: Columns,
    masks: Columns,
    table: Columns,
) -> Where:
    """Return what a row of the records, the images or the masks is called, and where it is."""
    mask = int(masks["id"][row]) if table is masks else -1
    shard, position = int(table["shard"][row]), int(table["position"][row])
    part = next(p for p in parts if p.part.shard == shard and position in p.positions)
    told = part.names[position - part.part.first]
    if table is masks:
        told = f"{told}, mask {mask}"
    return Where(part.problems.get(position, told), shard, position, mask)


@lru_cache(maxsize=16)
def _stems(path: AnyPath) -> tuple[str, ...]:
    return tuple(label.name.rsplit(".", 1)[0] for _, label in sample_places(path))


def _stem(path: AnyPath, position: int) -> str:
    return _stems(path)[position]


def _joined(parts: Sequence[Inspected]) -> tuple[Columns, Columns, Columns]:
    """Return the rows of several parts as three tables that say where each row comes from."""
    records = {
        "position": np.concatenate([list(one.positions) for one in parts]).astype(np.int64),
        "shard": np.repeat([one.part.shard for one in parts], [len(one.names) for one in parts]),
        "readable": np.concatenate(
            [np.isin(list(one.positions), one.images["position"]) for one in parts]
        ),
    }
    number = np.array([len(one.images["position"]) for one in parts])
    images = _stacked([one.images for one in parts])
    images["shard"] = np.repeat([one.part.shard for one in parts], number)
    masks = _stacked([one.masks for one in parts])
    before = np.cumsum(number) - number
    owned = [len(one.masks["id"]) for one in parts]
    row = masks["image"] + np.repeat(before, owned)
    return records, images, masks | {name: images[name][row] for name in ("shard", "position")}


def _stacked(tables: Iterable[Columns]) -> Columns:
    tables = list(tables)
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _shard_columns(shards: Sequence[_Shard], facts: Mapping[int, Mapping[str, Any]]) -> Columns:
    found = [facts[number] for number in range(len(shards))]
    columns = {
        "sidecar": np.array([one["sidecar"] for one in found], bool),
        "whole": np.array([not one["problem"] for one in found], bool),
        "sha256": np.array([one["sha256"] for one in found], object),
        "said_sha256": np.array([shard.said["sha256"] for shard in shards], object),
    }
    for name in ("samples", "masks", "bytes"):
        columns[name] = np.array([one[name] for one in found], np.int64)
        columns[f"said_{name}"] = np.array([shard.said[name] for shard in shards], np.int64)
    # masks of records that cannot be read are not counted, and not held against their shard
    unreadable = np.array([one["unreadable"] for one in found]) > 0
    columns["masks"] = np.where(unreadable, columns["said_masks"], columns["masks"])
    return columns
