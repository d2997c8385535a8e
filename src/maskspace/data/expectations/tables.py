"""A part of a shard as compact columns: what its records and masks say, and what they are.

A part has at most 1024 records. A record takes some 110 bytes and a mask 150, so that memory stays
bounded however large a shard is.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from maskspace.data.expectations.measures import Columns, measure
from maskspace.data.expectations.similar import THUMBNAIL, perceptual_hashes, thumbnail
from maskspace.data.expectations.suites import GROUPS
from maskspace.data.manifest import read_sidecar
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
from maskspace.data.tars import Member, read_member
from maskspace.files import AnyPath, transfer_errors
from maskspace.rgb import UNREADABLE, open_image, orientation, read_rgb
from maskspace.types import Sample

#: The most records of a part.
PART = 1024
#: Whole numbers of a record are below this; a larger one is no count of pixels.
_LARGEST = 2**53
#: Height and width are below this.
_SIDE = 2**31
#: Texts that mean that there is no source, or no licence.
_NOTHING = ("", "unknown")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some neighbouring records of a shard.

    shard: number of the shard, from 0.
    path: its tar.
    split: "train", "val" or "test".
    first, last: positions of the first record and of the one after the last; a `last` of -1 means
        the end of the shard.

    Example:
        >>> from pathlib import Path
        >>> part = Part(shard=0, path=Path("train-000000.tar"), split="train", first=0, last=-1)
        >>> part.last  # to the end of the shard
        -1
    """

    shard: int
    path: AnyPath
    split: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """The rows of one part.

    part: which records these are.
    facts: bytes, sha256, number of samples and problem of the whole shard; only the first part of a
        shard says them, or one that cannot be read.
    names: keys of all records of the part.
    problems: position of a record that cannot be read -> what is wrong with it.
    images: columns with a row for each record that can be read.
    masks: columns with a row for each mask of these.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_shard
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> facts = write_shard(shard, read_rectangles("", seed=0, limit=2))
        >>> part = Part(shard=0, path=shard, split="train", first=0, last=-1)
        >>> inspected = inspect(part, kind="rectangles", datasets=("rectangles",), images=None,
        ...                     near_iou=0.9, max_bytes=2**20)
        >>> inspected.positions, inspected.images["height"].tolist()
        (range(0, 2), [64, 64])
        >>> len(inspected.masks["area"]) == facts.masks
        True
    """

    part: Part
    facts: Mapping[str, Any]
    names: tuple[str, ...]
    problems: Mapping[int, str]
    images: Columns
    masks: Columns

    @property
    def positions(self) -> range:
        """The positions of its records in the shard."""
        return range(self.part.first, self.part.first + len(self.names))


def inspect(
    part: Part,
    *,
    kind: str,
    datasets: tuple[str, ...],
    images: AnyPath | None,
    near_iou: float,
    max_bytes: int,
) -> Inspected:
    """Return the rows of a part; faults of its bytes are reported in them and raise nothing.

    Args:
        part: the records to inspect.
        kind: name of the dataset's reader.
        datasets: the names that a record may give as its dataset.
        images: folder of the images that shards only point to; None if the shards hold them.
        near_iou: masks of one layer with at least this IoU are near copies, in (0.5, 1].
        max_bytes: a record that takes more bytes with its image is not read, and is a problem.

    Example:
        >>> from pathlib import Path
        >>> part = Part(shard=0, path=Path("missing.tar"), split="train", first=0, last=-1)
        >>> inspected = inspect(part, kind="rectangles", datasets=("rectangles",), images=None,
        ...                     near_iou=0.9, max_bytes=2**20)
        >>> inspected.names, inspected.facts["problem"]
        ((), 'missing.tar: No such file or directory')
    """
    facts: dict[str, Any] = {"bytes": 0, "sha256": "", "samples": 0, "problem": "", "sidecar": True}
    try:
        if part.first == 0:
            facts["bytes"], facts["sha256"] = _digest(part.path)
        places = sample_places(part.path)
    except ValueError as error:
        return _inspected(part, {**facts, "problem": str(error)}, [], {}, {})
    except transfer_errors() as error:
        problem = f"{part.path.name}: {getattr(error, 'strerror', None) or error}"
        return _inspected(part, {**facts, "problem": problem}, [], {}, {})
    if part.first == 0:
        facts |= {"samples": len(places), "sidecar": _has_sidecar(part.path, places, facts)}
    rows: dict[int, dict[str, Any]] = {}
    problems: dict[int, str] = {}
    chosen = places[part.first : len(places) if part.last < 0 else part.last]
    for position, (image, label) in enumerate(chosen, start=part.first):
        try:
            sample, unchanged = _sample(part.path, image, label, images, max_bytes)
            row = _image_and_masks(sample, kind=kind, datasets=datasets, near_iou=near_iou)
            rows[position] = {**row, "unchanged": unchanged}
        except (*transfer_errors(), ValueError) as error:
            problems[position] = str(error).removeprefix(f"{part.path.parent}/")
    names = [label.name.rsplit(".", 1)[0] for _, label in chosen]
    return _inspected(part, facts, names, rows, problems)


def _inspected(
    part: Part,
    facts: Mapping[str, Any],
    names: Sequence[str],
    rows: dict[int, dict[str, Any]],
    problems: Mapping[int, str],
) -> Inspected:
    """Return the rows as columns."""
    thumbnails = np.array([row["thumbnail"] for row in rows.values()]).reshape(
        -1, THUMBNAIL, THUMBNAIL
    )
    images = {
        name: np.array([row[name] for row in rows.values()], kind)
        for name, kind in _IMAGE_COLUMNS.items()
    }
    images["position"] = np.array(list(rows), np.int64)
    images["contrast"] = thumbnails.std(axis=(1, 2))
    images["look"] = perceptual_hashes(thumbnails)
    pieces = [row["mask_columns"] for row in rows.values()]
    columns = pieces[0] if pieces else measure((), (1, 1), near_iou=1.0).masks
    masks = {name: np.concatenate([p[name] for p in pieces] or [columns[name]]) for name in columns}
    masks["image"] = np.repeat(np.arange(len(rows)), images["masks"])
    return Inspected(
        part=part,
        facts=facts,
        names=tuple(names),
        problems=problems,
        images=images,
        masks=masks,
    )


def _digest(path: AnyPath) -> tuple[int, str]:
    """Return the number of bytes in a file and their sha256, read in pieces."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        for piece in iter(partial(file.read, 1 << 22), b""):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _has_sidecar(
    path: AnyPath, places: Sequence[tuple[Member | None, Member]], facts: Mapping[str, Any]
) -> bool:
    """Return whether the sidecar agrees with the shard; a missing or unreadable one does."""
    sidecar = read_sidecar(path)
    if sidecar is None:
        return True
    listed = [(p.label_offset, p.label_size, p.image_size) for p in sidecar.places]
    present = [(label.offset, label.size, image.size if image else 0) for image, label in places]
    return listed == present and (sidecar.facts.bytes, sidecar.facts.sha256) == (
        facts["bytes"],
        facts["sha256"],
    )


def _sample(
    path: AnyPath, image: Member | None, label: Member, images: AnyPath | None, max_bytes: int
) -> tuple[Sample, bool]:
    """Return the sample at a place, and whether its image is the one that it was made for.

    Raises ValueError for a record that has no place in a table. An image that cannot be read is
    empty in the sample.
    """
    where = f"{path}:{label.name}"
    size = label.size + (image.size if image else 0)
    if size > max_bytes:
        raise ValueError(
            f"{where}: {size} bytes with its image; validate.max_record_bytes is {max_bytes}"
        )
    record = parse_record(read_member(path, label), where=where)
    if record.key != label.name.rpartition(".")[0]:
        raise ValueError(f"{where}: says its key is {record.key}; make it again")
    extension = image.name.rpartition(".")[2] if image else record.extension or ""
    try:
        content = read_member(path, image) if image else _pointed(record, images, where)
    except (*transfer_errors(), ValueError):
        content = b""
    sample = sample_of(record, content, extension, where=where)
    for problem in _schema_problems(sample):
        raise ValueError(f"{where}: {problem}; make it again")
    unchanged = record.sha256 in (None, hashlib.sha256(content).hexdigest())
    return sample, unchanged and bool(content)


def _pointed(record: Record, images: AnyPath | None, where: str) -> bytes:
    """Return the bytes of an image that lies outside the shard."""
    file = image_path(record, images, where=where)
    return read_pointed_image(record, open_image_file(file, where=where), where=where)


def _schema_problems(sample: Sample) -> Iterator[str]:
    """Yield what in a record is of another type than its schema says, or too large a number.

    JSON gives any type for any key, and a number of any length.
    """
    for name in ("key", "dataset", "extension", "licence", "source"):
        if not isinstance(getattr(sample, name), str):
            yield f"{name} is {getattr(sample, name)!r}, expected text"
    if sample.split not in (None, *SPLITS):
        yield f"split is {sample.split!r}, expected {', '.join(SPLITS)} or null"
    sides = sample.size_hw
    if len(sides) != 2 or {*map(type, sides)} != {int} or not 0 < min(sides) <= max(sides) < _SIDE:
        yield f"size_hw is {list(sides)}, expected two whole numbers above 0"
    for name, kinds in _TYPES.items():
        values = [getattr(a, name) for a in sample.annotations]
        if not {*map(type, values)} <= kinds:
            wrong = next(v for v in values if type(v) not in kinds)
            expected = _type_names(kinds)
            yield f"the {name} of an annotation is {str(wrong)[:40]!r}, expected {expected}"
    if not all(
        len(a.box_xywh) == 4 and {*map(type, a.box_xywh)} == {int} for a in sample.annotations
    ):
        yield "the box_xywh of an annotation is not four whole numbers"
    numbers = [
        n for a in sample.annotations for n in (a.id, a.area, a.parent or 0, a.layer, *a.box_xywh)
    ]
    if not all(isinstance(n, int) and -_LARGEST < n < _LARGEST for n in numbers):
        yield "a number of an annotation is 2**53 or more"


_TYPES: Mapping[str, set[type]] = {
    "id": {int},
    "counts": {str},
    "area": {int},
    "box_xywh": {tuple},
    "parent": {int, type(None)},
    "score": {float, int},
    "ignore": {bool},
    "layer": {int},
}


def _type_names(kinds: set[type]) -> str:
    return " or ".join(sorted("null" if kind is type(None) else kind.__name__ for kind in kinds))


_IMAGE_COLUMNS: Mapping[str, type] = {
    "key": np.uint64,
    "image": np.uint64,
    "group": np.uint64,
    "height": np.int64,
    "width": np.int64,
    "image_height": np.int64,
    "image_width": np.int64,
    "masks": np.int64,
    "counted": np.int64,
    "overlap": np.int64,
    "depth": np.int64,
    "coverage": np.float64,
    **dict.fromkeys(
        (
            *("key_is_safe", "of_this_dataset", "has_licence", "has_source", "decodes"),
            *("unchanged", "format_as_named", "ids_run", "nest_ends", "scores_vary"),
        ),
        np.bool_,
    ),
}


def _image_and_masks(
    sample: Sample, *, kind: str, datasets: tuple[str, ...], near_iou: float
) -> dict[str, Any]:
    """Return the columns of one image, its thumbnail, and the columns of its masks."""
    height, width = sample.size_hw
    measured = measure(sample.annotations, (height, width), near_iou=near_iou)
    scores = {a.score for a in sample.annotations}
    return {
        "key": hash64(sample.key),
        "image": hash64(sample.image),
        "group": _group(sample, kind),
        "height": height,
        "width": width,
        "masks": len(sample.annotations),
        "counted": sum(not a.ignore for a in sample.annotations),
        "overlap": measured.overlap,
        "depth": measured.depth,
        "coverage": measured.coverage,
        "key_is_safe": sample.key.replace("-", "").replace("_", "").isalnum()
        and sample.key.isascii(),
        "of_this_dataset": sample.dataset in datasets,
        "has_licence": sample.licence.strip() not in _NOTHING,
        "has_source": sample.source.strip() not in _NOTHING,
        "ids_run": sorted(a.id for a in sample.annotations)
        == [*range(1, len(sample.annotations) + 1)],
        "nest_ends": measured.nest_ends,
        "scores_vary": len(scores) > 1 or len(sample.annotations) <= 1,
        **_image_columns(sample),
        "mask_columns": measured.masks,
    }


def _group(sample: Sample, kind: str) -> int:
    """Return the hash of the sample's group (its scene, its video), 0 where it has none."""
    match = GROUPS[kind].match(sample.key) if kind in GROUPS else None
    return hash64(match[1]) if match else 0


def _image_columns(sample: Sample) -> dict[str, Any]:
    """Return what the image itself is; for one that does not decode, what the record says."""
    row = {
        "image_height": sample.size_hw[0],
        "image_width": sample.size_hw[1],
        "thumbnail": np.zeros((THUMBNAIL, THUMBNAIL)),
        "decodes": False,
        "format_as_named": True,
    }
    try:
        with open_image(sample.image, name=sample.key) as image:
            row["format_as_named"] = _named(sample.extension, image.format or "")
            pixels, size_hw = _pixels(image, sample.image)
            row["thumbnail"] = thumbnail(pixels)
    except UNREADABLE:
        return row
    return {**row, "decodes": True, "image_height": size_hw[0], "image_width": size_hw[1]}


def _pixels(image: Image.Image, encoded: bytes) -> tuple[Image.Image, tuple[int, int]]:
    """Return the decoded image, and its full rows and columns.

    A JPEG is decoded at a fraction of its size: every coefficient is read, so that damage is found,
    but few pixels are computed.
    """
    if image.format not in ("JPEG", "MPO"):
        rgb = read_rgb(encoded)
        return Image.fromarray(rgb), (rgb.shape[0], rgb.shape[1])
    width, height = image.size
    exif_orientation = orientation(image)
    image.draft("L", (4 * THUMBNAIL, 4 * THUMBNAIL))
    upright = ImageOps.exif_transpose(image) if exif_orientation > 1 else image
    return upright, (width, height) if exif_orientation >= 5 else (height, width)


def _named(extension: str, format_: str) -> bool:
    """Return whether a file extension is one of an image format."""
    known = Image.registered_extensions().get(f".{extension.lower()}")
    return known is not None and known == {"MPO": "JPEG"}.get(format_, format_)


def hash64(value: str | bytes) -> int:
    """Return the first 64 bits of the sha256 of bytes, or of a text as UTF-8.

    Example:
        >>> hash64("a") == hash64(b"a"), hash64("a") == hash64("b")
        (True, False)
    """
    content = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
