"""What is known of shards without reading them: a manifest of all, and a sidecar of each.

`manifest.json` lists the shards of each split with their counts, sizes and hashes, and says how
they were made. `SHARD.tar.json` repeats the facts of one shard and adds the places of its samples,
so that any sample is one ranged read. It is written after its shard: if it is there and states the
shard's size, the shard is whole.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maskspace.data.counts import Counts, counts_as_json, counts_from_json
from maskspace.files import AnyPath, locate, size_of, transfer_errors, write_json, write_whole
from maskspace.types import Category, read_categories

SPLITS = ("train", "val", "test")

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """The facts of one shard in the manifest.

    name, samples, masks, bytes, sha256: of the shard.
    refused: key -> reason, of the samples that the reader could not read; they are not in the
        shard.
    counts: the counts of its samples, for the totals.

    Example:
        >>> facts = ShardFacts(name="train-000000.tar", samples=2, masks=9, bytes=4096, sha256="00")
        >>> dict(facts.refused)
        {}
    """

    name: str
    samples: int
    masks: int
    bytes: int
    sha256: str
    refused: Mapping[str, str] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts, compare=False)


@dataclass(frozen=True, slots=True)
class SamplePlace:
    """Where a sample is in its shard.

    image: name of the image's member.
    image_offset, image_size: bytes of the image; the size is 0 if the image is elsewhere.
    label_offset, label_size: bytes of the record.

    Example:
        >>> SamplePlace("a.png", 512, 70, label_offset=1536, label_size=200).label_offset
        1536
    """

    image: str
    image_offset: int
    image_size: int
    label_offset: int
    label_size: int


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """The content of `SHARD.tar.json`.

    Example:
        >>> facts = ShardFacts(name="train-000000.tar", samples=1, masks=9, bytes=4096, sha256="00")
        >>> place = SamplePlace("a.png", 512, 70, 1536, 200)
        >>> Sidecar(facts=facts, places=(place,)).places[0].label_offset
        1536
    """

    facts: ShardFacts
    places: tuple[SamplePlace, ...]


def sidecar_path(shard: AnyPath) -> AnyPath:
    """Return the path of a shard's sidecar.

    Example:
        >>> sidecar_path(Path("shards/train-000000.tar")).name
        'train-000000.tar.json'
    """
    return shard.with_name(f"{shard.name}.json")


def write_sidecar(shard: AnyPath, sidecar: Sidecar) -> None:
    """Write the sidecar of a shard that is complete.

    Example:
        >>> import tempfile
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> facts = ShardFacts(name=shard.name, samples=1, masks=9, bytes=4096, sha256="00")
        >>> sidecar = Sidecar(facts=facts, places=(SamplePlace("a.png", 512, 70, 1536, 200),))
        >>> write_sidecar(shard, sidecar)
        >>> read_sidecar(shard) == sidecar
        True
    """
    facts = sidecar.facts
    value = {
        **_as_json(facts),
        "counts": counts_as_json(facts.counts),
        "places": [
            [p.image, p.image_offset, p.image_size, p.label_offset, p.label_size]
            for p in sidecar.places
        ],
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    write_whole(sidecar_path(shard), text + "\n")


def read_sidecar(shard: AnyPath) -> Sidecar | None:
    """Return the sidecar of a shard; None if there is none that can be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_shard
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> facts = write_shard(shard, read_rectangles("", seed=0, limit=2))
        >>> read_sidecar(shard).places[0].image
        'rectangles-000000.png'
        >>> read_sidecar(shard.with_name("train-000001.tar")) is None  # no such shard
        True
    """
    try:
        value = json.loads(sidecar_path(shard).read_bytes())
        places = tuple(SamplePlace(*place) for place in value.pop("places"))
        counts = counts_from_json(value.pop("counts"))
        return Sidecar(facts=ShardFacts(**value, counts=counts), places=places)
    except (ValueError, TypeError, KeyError, AttributeError, *transfer_errors()):
        return None


def finished_shard(shard: AnyPath) -> ShardFacts | None:
    """Return the facts of a shard that is there and has the right size, or None.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_shard
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> facts = write_shard(shard, read_rectangles("", seed=0, limit=2))
        >>> finished_shard(shard) == facts
        True
        >>> _ = shard.write_bytes(b"cut short")
        >>> finished_shard(shard) is None
        True
    """
    sidecar = read_sidecar(shard)
    return sidecar.facts if sidecar and size_of(shard) == sidecar.facts.bytes else None


def write_manifest(
    folder: AnyPath, facts: Iterable[ShardFacts], *, dataset: str, details: Mapping[str, Any]
) -> AnyPath:
    """Write `manifest.json` for the shards `SPLIT-NNNNNN.tar` in `folder`; return its path.

    Partial files that a kill has left in the folder are removed.

    Args:
        folder: the folder of the shards.
        facts: the facts of the shards.
        dataset: name of the dataset.
        details: what else the manifest says: the parameters with which the shards were made.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = ShardFacts(name="val-000000.tar", samples=2, masks=9, bytes=4096, sha256="00")
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={"seed": 0})
        >>> read_manifest(folder)["totals"]
        {'bytes': 4096, 'masks': 9, 'samples': 2}
    """
    if isinstance(folder, Path):
        for stray in folder.glob("*.partial"):
            stray.unlink()
    ordered = sorted(facts, key=lambda one: (SPLITS.index(one.name.split("-")[0]), one.name))
    splits = {
        split: _sum([one for one in ordered if one.name.startswith(f"{split}-")])
        for split in SPLITS
    }
    totals = {key: sum(splits[s][key] for s in SPLITS) for key in ("samples", "masks", "bytes")}
    manifest = {"dataset": dataset, "splits": splits, "totals": totals, **details}
    return write_json(folder / MANIFEST, manifest)


def _sum(facts: list[ShardFacts]) -> dict[str, Any]:
    return {
        **{key: sum(getattr(one, key) for one in facts) for key in ("samples", "masks", "bytes")},
        "counts": counts_as_json(sum((one.counts for one in facts), Counts())),
        "shards": [_as_json(one) for one in facts],
    }


def _as_json(facts: ShardFacts) -> dict[str, Any]:
    listed = {key: value for key, value in vars(facts).items() if key != "counts"}
    if not facts.refused:  # nearly always, and what is published stays as it is
        del listed["refused"]
    return listed


def read_manifest(folder: str | AnyPath) -> dict[str, Any]:
    """Return the manifest of a folder of shards, which may be a URL; ValueError in one line.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = write_manifest(folder, [], dataset="toy", details={"seed": 0})
        >>> read_manifest(folder)["seed"]
        0
    """
    path = locate(folder) / MANIFEST
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder}: no {MANIFEST}; run `dvc repro --pull` to make it") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); make it again") from None
    except transfer_errors() as error:
        raise ValueError(f"{path}: cannot be read ({error}); check the URL") from None


def shards_folder(folder: str | AnyPath, manifest: Mapping[str, Any]) -> AnyPath:
    """Return the folder of the shards of a manifest: beside it, or where it says.

    A manifest of validated shards gives the path from its own folder, `stored_from_here`.

    Example:
        >>> str(shards_folder("build/shards/toy", {}))
        'build/shards/toy'
        >>> str(shards_folder("build/shards/toy", {"stored_in": "/disk/toy"}))
        '/disk/toy'
    """
    if "stored_from_here" in manifest:
        return locate(folder) / manifest["stored_from_here"]
    return locate(manifest.get("stored_in") or folder)


def categories_as_json(categories: Iterable[Category]) -> dict[str, Any]:
    """Return a manifest's entry for a dataset's categories; empty if there are none.

    Example:
        >>> categories_as_json([Category(id=3, name="car")])
        {'categories': [{'id': 3, 'name': 'car', 'is_thing': True}]}
        >>> categories_as_json([])
        {}
    """
    table = [asdict(category) for category in categories]
    return {"categories": table} if table else {}


def categories_of(manifest: Mapping[str, Any]) -> tuple[Category, ...]:
    """Return the table of categories of a manifest; empty if it has none.

    Example:
        >>> categories_of({"categories": [{"id": 3, "name": "car", "is_thing": True}]})
        (Category(id=3, name='car', is_thing=True),)
    """
    return read_categories(manifest.get("categories", ()))


def facts_of(manifest: Mapping[str, Any], split: str) -> list[ShardFacts]:
    """Return the facts of the shards of one split, without their counts.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = ShardFacts(name="val-000000.tar", samples=2, masks=9, bytes=4096, sha256="00")
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> facts_of(read_manifest(folder), "val") == [facts]
        True
    """
    return [ShardFacts(**one) for one in manifest["splits"][split]["shards"]]
