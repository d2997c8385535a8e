"""Put bad records aside: their bytes go to shards of their own, the reasons to a list.

Validated shards are a manifest only: that of the shards, with the folder where they are and the
records of them to leave out (`excluded`: name of a shard -> positions). Beside it, the folder
`quarantine/` holds `records.jsonl`, a line of JSON for each bad record, and for each shard with a
bad record a tar of the same name, with the members of its bad records as they were.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from maskspace.data.expectations.report import Report
from maskspace.data.manifest import MANIFEST, read_manifest, shards_folder
from maskspace.data.records import sample_places
from maskspace.data.tars import Member, read_member
from maskspace.files import AnyPath, appearing, write_json, write_whole
from maskspace.types import MapUnits

FOLDER = "quarantine"


def write_validated(
    folder: Path,
    source: str | AnyPath,
    report: Report,
    *,
    from_folder: str,
    map_units: MapUnits = map,
) -> None:
    """Write a manifest of the good records of some shards, and put the bad ones aside.

    Args:
        folder: where to write the manifest and the folder `quarantine`; it exists.
        source: the folder of the shards.
        report: what their validation found; `report.bad` names the bad records.
        from_folder: the relative path from `folder` to `source`, such as "../../shards/x".
        map_units: applies a function to each shard with a bad record (default: here, in order).

    Example:
        >>> import tempfile
        >>> from maskspace.data.open_shards import open_shards
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> shards, good = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
        >>> facts = write_shard(shards / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(shards, [facts], dataset="toy", details={})
        >>> bad = {(0, 1): ("the image decodes",)}  # the second record of the first shard
        >>> report = Report(dataset="toy", kind="toy", shards=(facts.name,), records=2, outcomes=(),
        ...                 bad=bad)
        >>> write_validated(good, shards, report, from_folder=f"../{shards.name}")
        >>> [sample.key for sample in open_shards(good, "train")]
        ['rectangles-000000']
        >>> json.loads((good / "quarantine" / "records.jsonl").read_text())["reasons"]
        ['the image decodes']
    """
    excluded = {
        report.shards[number]: [position for _, position in places]
        for number, places in groupby(report.bad, key=lambda place: place[0])
    }
    manifest = read_manifest(source)
    (folder / FOLDER).mkdir(exist_ok=True)
    copy = partial(_copy, shards=shards_folder(source, manifest), folder=folder / FOLDER)
    keys = list(map_units(copy, list(excluded.items())))
    write_whole(folder / FOLDER / "records.jsonl", _lines(report, excluded, keys))
    place = {} if manifest.get("stored_in") else {"stored_from_here": from_folder}
    write_json(folder / MANIFEST, {**manifest, **place, "excluded": excluded})


def _lines(
    report: Report, excluded: Mapping[str, Sequence[int]], keys: Sequence[Sequence[str]]
) -> str:
    """Return a line of JSON for each bad or refused record: its place, its key, the reasons."""
    numbers = {name: number for number, name in enumerate(report.shards)}
    lines: list[dict[str, object]] = [
        {
            "shard": shard,
            "position": position,
            "key": key,
            "reasons": list(report.bad[numbers[shard], position]),
        }
        for (shard, positions), shard_keys in zip(excluded.items(), keys, strict=True)
        for position, key in zip(positions, shard_keys, strict=True)
    ]
    lines += [
        {"shard": shard, "position": None, "key": key, "reasons": [f"refused by its reader: {why}"]}
        for key, (shard, why) in report.refused.items()
    ]
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)


def _copy(unit: tuple[str, list[int]], *, shards: AnyPath, folder: Path) -> list[str]:
    """Copy the members of some records of a shard to a tar of its name; return their keys."""
    name, positions = unit
    places = sample_places(shards / name)
    chosen = [places[position] for position in positions]
    members = [member for pair in chosen for member in pair if member is not None]
    _write_tar(folder / name, ((m, read_member(shards / name, m)) for m in members))
    return [label.name.rsplit(".", 1)[0] for _, label in chosen]


def _write_tar(path: Path, members: Iterable[tuple[Member, bytes]]) -> None:
    """Write a tar that appears whole or not at all; same members, same bytes."""
    with (
        appearing(path) as partial,
        tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for member, content in members:
            info = tarfile.TarInfo(member.name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
