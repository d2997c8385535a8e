"""Check every expectation on the shards of a dataset, in bounded memory.

Input: a folder of shards with its manifest, and the bounds of the expectations.
Idea: a shard is read in parts; the rows of a part are checked as soon as enough have come in.
Steps: inspect part by part (`tables.inspect`); check the rows of parts together (`_Run.add`); at
    the end check the shards, and every record against all others (`dataset.Index`).
Cost: one read of all shards. Memory: 170 bytes for each of `rows_per_check` masks and of the masks
    of one part more, and 62 bytes for each record.
"""

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
    """A shard, and its entry in the manifest."""

    path: AnyPath
    split: str
    entry: Mapping[str, Any]


def validate_shards(
    folder: str | AnyPath, config: ValidateConfig, *, map_units: MapUnits = map
) -> Report:
    """Check every expectation on the shards in `folder`; return what was found.

    A tar that the manifest does not list is checked as if the manifest listed it as empty.

    Raises ValueError in one line, with a quarantine, as soon as more records are bad than
    `config.quarantine.rate` allows, or a whole shard is bad; and where readers refused more samples
    than that.

    Args:
        folder: the folder of the shards, a path or a URL.
        config: the bounds of the expectations.
        map_units: applies a function to each part of a shard (default: here, in order).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="rectangles", details={"containment": 0.95})
        >>> config = ValidateConfig(
        ...     min_masks=1, max_masks=100, min_area=1, min_side=65, max_side=1000,
        ...     max_record_bytes=2**20, max_depth=10, min_contrast=1.0, near_iou=0.95, near_bits=4,
        ...     outlier_z=6.0, min_coverage={}, severities={}, quarantine=None, rows_per_check=1000)
        >>> report = validate_shards(folder, config)  # the images have 64 rows, fewer than min_side
        >>> [(outcome.name, outcome.failures) for outcome in report.broken]
        [('height within bounds', 2), ('width within bounds', 2)]
    """
    manifest = read_manifest(folder)
    shards = _listed(shards_folder(folder, manifest), manifest)
    kind = str(manifest.get("reader", {}).get("name", manifest["dataset"]))
    refused = _refused(shards, config)
    run = _Run(shards, _checker(kind, manifest, config), config)
    index = Index(min_contrast=config.min_contrast)
    inspect_part = partial(
        inspect,
        kind=kind,
        images=images_root(manifest),
        datasets=(kind, str(manifest["dataset"])),
        near_iou=config.near_iou,
        max_bytes=config.max_record_bytes,
    )
    for inspected in map_units(inspect_part, _parts(shards)):
        index.add(inspected)
        run.add(inspected)
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
    """Return the samples that their reader refused: key -> shard, reason.

    They are in no shard, but count as bad records: without a quarantine none is allowed. Raises
    ValueError where they are more than the quarantine allows.
    """
    refused = {
        key: (shard.path.name, str(why))
        for shard in shards
        for key, why in shard.entry.get("refused", {}).items()
    }
    total = len(refused) + sum(shard.entry["samples"] for shard in shards)
    rate = config.quarantine.rate if config.quarantine else 0.0
    if len(refused) > rate * total:
        key, (_, why) = next(iter(refused.items()))
        raise ValueError(
            f"{key}: refused by its reader ({why}); that makes {len(refused)} of {total}, "
            f"validate.quarantine.rate allows {rate:g}; mend the data"
        )
    return refused


def _checker(kind: str, manifest: Mapping[str, Any], config: ValidateConfig) -> Checker:
    """Return the checker of a dataset kind, with its suite and bounds."""
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
    """Return the shards of the manifest, then the tars in the folder that it does not list."""
    listed = {
        entry["name"]: _Shard(path=folder / entry["name"], split=split, entry=entry)
        for split, part in manifest["splits"].items()
        for entry in part["shards"]
    }
    nothing = {"samples": 0, "masks": 0, "bytes": 0, "sha256": "not in the manifest"}
    for path in sorted(folder.glob("*.tar")):
        split = path.name.split("-")[0]
        listed.setdefault(path.name, _Shard(path=path, split=split, entry=nothing))
    return list(listed.values())


def _parts(shards: Sequence[_Shard]) -> list[Part]:
    """Return the parts of all shards, in order; the last part of a shard ends where it ends."""
    parts: list[Part] = []
    for number, shard in enumerate(shards):
        starts = range(0, max(1, shard.entry["samples"]), PART)
        for first in starts:
            last = -1 if first == starts[-1] else first + PART
            parts.append(
                Part(shard=number, path=shard.path, split=shard.split, first=first, last=last)
            )
    return parts


@dataclass
class _Run:
    """The state of a validation: the parts that wait to be checked, and what was found so far.

    bad: (shard, position) of a record -> names of the errors that put it in quarantine.
    _waiting: inspected parts whose rows are not yet checked.
    _facts: number of a shard -> what its parts say of it.
    """

    shards: Sequence[_Shard]
    checker: Checker
    config: ValidateConfig
    bad: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    records: int = 0
    _waiting: list[Inspected] = field(default_factory=list)
    _facts: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, inspected: Inspected) -> None:
        """Take a part; check the waiting parts once they have enough masks."""
        self._waiting.append(inspected)
        self.records += len(inspected.names)
        facts = self._facts.setdefault(
            inspected.part.shard, {**inspected.facts, "masks": 0, "unreadable": 0}
        )
        facts["masks"] += len(inspected.masks["id"])
        facts["unreadable"] += len(inspected.problems)
        if sum(len(part.masks["id"]) for part in self._waiting) >= self.config.rows_per_check:
            self._check_waiting()

    def finish(self, dataset: Columns) -> None:
        """Check the parts that still wait, the shards, and every record against all others."""
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
            names = partial(_of_record, parts=parts, images=images, masks=masks)
            self._check("records", records, partial(names, table=records))
            self._check("images", images, partial(names, table=images))
            self._check("masks", masks, partial(names, table=masks))

    def _check(self, table: str, columns: Columns, where: "_Where") -> None:
        """Check one table; keep the worst rows, and put records with errors in quarantine."""
        for name, broken in self.checker.check(table, columns):
            self.checker.keep_worst(name, broken, columns, partial(where, name))
            if self.config.quarantine and self.checker.tallies[name].severity == "error":
                self._put_aside(name, broken, columns, partial(where, name))

    def _put_aside(
        self, name: str, rows: np.ndarray, columns: Columns, where: Callable[[int], Where]
    ) -> None:
        """Put the records that break an expectation in `bad`; ValueError if they are too many."""
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
        total = sum(shard.entry["samples"] for shard in self.shards)
        rate = self.config.quarantine.rate
        refused = sum(len(shard.entry.get("refused", {})) for shard in self.shards)
        if len(self.bad) + refused > rate * (total + refused):
            raise ValueError(
                f"{first}: breaks {name!r}; that makes {len(self.bad)} bad records of {total} or "
                f"more, validate.quarantine.rate allows {rate:g}; mend the data"
            )

    def _of_shard(self, name: str, row: int) -> Where:
        """Return the place of a row of the table `shards`."""
        problem = self._facts[row]["problem"]
        file = self.shards[row].path
        text = problem.removeprefix(f"{file.parent}/") or file.name
        return Where(text if name == "the tar is whole and safe" else file.name, row, -1)

    def _of_dataset(self, name: str, row: int, *, dataset: Columns, start: int) -> Where:
        """Return the place of a row of the table `dataset`; `row` counts from `start`."""
        row += start
        shard, position = int(dataset["shard"][row]), int(dataset["position"][row])
        text = _stem(self.shards[shard].path, position)
        column = dataset[EXPECTATIONS[name].columns[0]]
        if column.dtype.kind == "i":
            twin = int(column[row])
            other = self.shards[int(dataset["shard"][twin])]
            twin_name = _stem(other.path, int(dataset["position"][twin]))
            text = f"{text} (as {twin_name} of {other.split})"
        return Where(text, shard, position)


_Where = Callable[[str, int], Where]


def _of_record(
    name: str,
    row: int,
    *,
    parts: Sequence[Inspected],
    images: Columns,
    masks: Columns,
    table: Columns,
) -> Where:
    """Return the place of a row of one of the tables `records`, `images` and `masks`."""
    mask = int(masks["id"][row]) if table is masks else -1
    shard, position = int(table["shard"][row]), int(table["position"][row])
    part = next(p for p in parts if p.part.shard == shard and position in p.positions)
    text = part.names[position - part.part.first]
    if table is masks:
        text = f"{text}, mask {mask}"
    return Where(part.problems.get(position, text), shard, position, mask)


@lru_cache(maxsize=16)
def _stems(path: AnyPath) -> tuple[str, ...]:
    """Return the keys of the records of a shard."""
    return tuple(label.name.rsplit(".", 1)[0] for _, label in sample_places(path))


def _stem(path: AnyPath, position: int) -> str:
    return _stems(path)[position]


def _joined(parts: Sequence[Inspected]) -> tuple[Columns, Columns, Columns]:
    """Return the rows of parts as the tables `records`, `images` and `masks`, with their places."""
    records = {
        "position": np.concatenate([list(part.positions) for part in parts]).astype(np.int64),
        "shard": np.repeat(
            [part.part.shard for part in parts], [len(part.names) for part in parts]
        ),
        "readable": np.concatenate(
            [np.isin(list(part.positions), part.images["position"]) for part in parts]
        ),
    }
    num_images = np.array([len(part.images["position"]) for part in parts])
    images = _stacked([part.images for part in parts])
    images["shard"] = np.repeat([part.part.shard for part in parts], num_images)
    masks = _stacked([part.masks for part in parts])
    first_image = np.cumsum(num_images) - num_images
    num_masks = [len(part.masks["id"]) for part in parts]
    row = masks["image"] + np.repeat(first_image, num_masks)
    return records, images, masks | {name: images[name][row] for name in ("shard", "position")}


def _stacked(tables: Iterable[Columns]) -> Columns:
    """Return tables of the same columns, one below the other."""
    tables = list(tables)
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _shard_columns(shards: Sequence[_Shard], facts: Mapping[int, Mapping[str, Any]]) -> Columns:
    """Return the table `shards`: what each shard is, and what its manifest lists."""
    by_shard = [facts[number] for number in range(len(shards))]
    columns = {
        "sidecar": np.array([shard_facts["sidecar"] for shard_facts in by_shard], bool),
        "whole": np.array([not shard_facts["problem"] for shard_facts in by_shard], bool),
        "sha256": np.array([shard_facts["sha256"] for shard_facts in by_shard], object),
        "listed_sha256": np.array([shard.entry["sha256"] for shard in shards], object),
    }
    for name in ("samples", "masks", "bytes"):
        columns[name] = np.array([shard_facts[name] for shard_facts in by_shard], np.int64)
        columns[f"listed_{name}"] = np.array([shard.entry[name] for shard in shards], np.int64)
    # masks of a record that cannot be read cannot be counted: its shard has the number listed
    unreadable = np.array([shard_facts["unreadable"] for shard_facts in by_shard]) > 0
    columns["masks"] = np.where(unreadable, columns["listed_masks"], columns["masks"])
    return columns
