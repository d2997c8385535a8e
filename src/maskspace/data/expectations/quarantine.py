"""Bad records put aside: their bytes in shards of their own, their reasons in a list.

`excluded.json` says which positions of which shards the others are to leave out; it is there, and
empty, where nothing is bad. `quarantine/` holds `records.jsonl`, a line a record, and for each
shard with a bad record a tar of the same name with the members of those as they were.
"""

import io
import json
import tarfile
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from pathlib import Path

from maskspace.data.excluded import EXCLUDED
from maskspace.data.expectations.report import Report
from maskspace.data.manifest import read_manifest, shards_folder
from maskspace.data.records import sample_places
from maskspace.data.shards import MapUnits
from maskspace.data.storage import AnyPath, write_json, write_text
from maskspace.data.tars import Member, read_member

FOLDER = "quarantine"


def write_quarantine(
    folder: Path, source: str | AnyPath, report: Report, *, map_units: MapUnits = map
) -> None:
    """Write the bad records of the shards in `source` into `folder`, and a list of them."""
    by_shard = {
        report.shards[number]: [position for _, position in places]
        for number, places in groupby(report.bad, key=lambda place: place[0])
    }
    (folder / FOLDER).mkdir(exist_ok=True)
    shards = shards_folder(source, read_manifest(source))
    copy = partial(_copy, shards=shards, folder=folder / FOLDER)
    names = dict(zip(by_shard, map_units(copy, list(by_shard.items())), strict=True))
    lines = [
        {
            "shard": shard,
            "position": position,
            "key": key,
            "reasons": list(report.bad[report.shards.index(shard), position]),
        }
        for shard, keys in names.items()
        for position, key in zip(by_shard[shard], keys, strict=True)
    ]
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    write_text(folder / FOLDER / "records.jsonl", text)
    write_json(folder / EXCLUDED, {"records": len(report.bad), "positions": by_shard})


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
    partial_path = path.with_name(f"{path.name}.partial")
    with tarfile.open(partial_path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member.name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    partial_path.replace(path)
