"""A sample as the record of a shard, and back.

A record is JSON with every field of the sample but the image and its extension, and with `sha256`,
the hash of the image's bytes. An annotation's `category` is there only if it has one. The image is
the member beside the record, `KEY.EXTENSION`. If a shard only points to images, the record's
`image` says which bytes of which file of the dataset's root they are.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from maskspace.data.source import ImagePlace
from maskspace.data.tars import Member, members, read_member
from maskspace.files import AnyPath, LocalFile, RangedFile, RemoteFile, open_ranged, read_exactly
from maskspace.types import Annotation, Sample

_FIELDS = {field.name for field in fields(Annotation)}


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record as it is read: a sample without its image.

    key: that of the sample.
    sha256: hash of the image's bytes; None in old records.
    place: where the image is, if the shard points to it.
    extension: format of an image that the shard points to.
    fields: the fields of the sample.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> record = parse_record(encode_record(sample), where="toy")
        >>> record.key, record.place is None
        ('rectangles-000000', True)
    """

    key: str
    sha256: str | None
    place: ImagePlace | None
    extension: str | None
    fields: Mapping[str, Any]


def encode_record(sample: Sample, *, place: ImagePlace | None = None) -> bytes:
    """Return the JSON of a sample, the same for the same sample.

    `place` says where the image is if the shard points to it.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> orjson.loads(encode_record(sample))["size_hw"]
        [64, 64]
    """
    record = dict(vars(sample))
    image, extension = record.pop("image"), record.pop("extension")
    record["source"] = sample.source.encode("utf-8", "backslashreplace").decode()
    record["annotations"] = [_annotation_fields(annotation) for annotation in sample.annotations]
    if not sample.left_out:
        del record["left_out"]  # as records were before there was such a field
    record["sha256"] = hashlib.sha256(image).hexdigest()
    if place is not None:
        if place.file.encode("utf-8", "replace").decode() != place.file:
            raise ValueError(
                f"{place.file}: its name is not UTF-8; rename it, or repack the images"
            )
        record["image"] = {**asdict(place), "extension": extension}
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def _annotation_fields(annotation: Annotation) -> dict[str, Any]:
    """Return the fields of an annotation; a category only where there is one, as ever."""
    fields = vars(annotation)
    if annotation.category is not None:
        return fields
    return {name: value for name, value in fields.items() if name != "category"}


def parse_record(text: bytes, *, where: str) -> Record:
    """Return the record in the bytes of a JSON member; ValueError that starts with `where`.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> record = parse_record(encode_record(sample), where="toy")
        >>> record.fields["annotations"] == sample.annotations
        True
        >>> parse_record(b"{}", where="toy.tar:a.json")
        Traceback (most recent call last):
            ...
        ValueError: toy.tar:a.json: not a record ('size_hw'); make it again
    """
    try:
        fields = orjson.loads(text)
        image = fields.pop("image", None)
        sha256 = fields.pop("sha256", None)
        fields["size_hw"] = tuple(fields["size_hw"])
        fields["left_out"] = tuple(fields.get("left_out", ()))
        fields["annotations"] = tuple(_annotation(one) for one in fields["annotations"])
        extension = image.pop("extension") if image else None
        place = ImagePlace(**image) if image else None
        return Record(
            key=fields["key"], sha256=sha256, place=place, extension=extension, fields=fields
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{where}: not a record ({error}); make it again") from None


def _annotation(record: Any) -> Annotation:
    record["box_xywh"] = tuple(record["box_xywh"])
    record.setdefault("category", None)  # of records that name none, and of all before 2027
    if record.keys() != _FIELDS:
        return Annotation(**record)
    # the constructor of a frozen record sets its fields one by one: five times as long
    made = object.__new__(Annotation)
    vars(made).update(record)
    return made


def sample_of(record: Record, image: bytes, extension: str, *, where: str) -> Sample:
    """Return a record and the bytes of its image as a sample.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> record = parse_record(encode_record(sample), where="toy")
        >>> sample_of(record, sample.image, "png", where="toy") == sample
        True
    """
    try:
        return Sample(image=image, extension=extension, **record.fields)
    except TypeError as error:
        raise ValueError(f"{where}: not a record ({error}); make it again") from None


def check_image(record: Record, image: bytes, *, where: str) -> None:
    """Raise ValueError if the image is not the one that the record was made for.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> record = parse_record(encode_record(sample), where="toy")
        >>> check_image(record, sample.image, where="toy")
        >>> check_image(record, b"another image", where="toy")
        Traceback (most recent call last):
            ...
        ValueError: toy: its image has changed since; make the shard again
    """
    if record.sha256 is not None and hashlib.sha256(image).hexdigest() != record.sha256:
        raise ValueError(f"{where}: its image has changed since; make the shard again")


def image_path(record: Record, images: AnyPath | None, *, where: str) -> AnyPath:
    """Return the file that a record points to, which has to lie in the folder `images`.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> place = ImagePlace("a/b.png", offset=0, size=70)
        >>> record = parse_record(encode_record(sample, place=place), where="toy")
        >>> from pathlib import Path
        >>> str(image_path(record, Path("photos"), where="toy"))
        'photos/a/b.png'
    """
    file = record.place.file if record.place else "/"
    if images is None or file.startswith("/") or "://" in file or ".." in file.split("/"):
        raise ValueError(f"{where}: points to no image of its dataset; make the shard again")
    return images / file if file else images


def open_image_file(path: AnyPath, *, where: str) -> LocalFile | RemoteFile:
    """Return the file of an image outside of the shard for reads by offset.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "a.png")
        >>> _ = path.write_bytes(b"pixels")
        >>> open_image_file(path, where="toy").read_at(0, 3)
        b'pix'
    """
    try:
        return open_ranged(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: missing, {where} points to it; put it back") from None


def read_pointed_image(record: Record, file: RangedFile, *, where: str) -> bytes:
    """Return the image that a record points to, checked: no manifest has the hash of its file.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "a.png")
        >>> _ = path.write_bytes(sample.image)
        >>> place = ImagePlace("a.png", offset=0, size=len(sample.image))
        >>> record = parse_record(encode_record(sample, place=place), where="toy")
        >>> read_pointed_image(record, open_ranged(path), where="toy") == sample.image
        True
    """
    assert record.place is not None
    image = read_exactly(file, record.place.offset, record.place.size, name=where)
    check_image(record, image, where=where)
    return image


def sample_places(path: AnyPath) -> list[tuple[Member | None, Member]]:
    """Return the image and the JSON of each sample in a shard, in order, from its headers.

    The image is None if the shard only points to it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_shard
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> facts = write_shard(shard, read_rectangles("", seed=0, limit=2))
        >>> image, label = sample_places(shard)[0]
        >>> image.name, label.name
        ('rectangles-000000.png', 'rectangles-000000.json')
    """
    grouped: dict[str, list[Member]] = {}
    for member in members(path):
        grouped.setdefault(member.name.rsplit(".", 1)[0], []).append(member)
    pairs = []
    for key, group in grouped.items():
        labels = [member for member in group if member.name.endswith(".json")]
        images = [member for member in group if not member.name.endswith(".json")]
        if len(labels) != 1 or len(images) > 1:
            raise ValueError(f"{path}:{key}: not one image and one JSON; make the shard again")
        pairs.append((images[0] if images else None, labels[0]))
    return pairs


def read_sample(
    path: AnyPath, image: Member | None, label: Member, *, images: AnyPath | None = None
) -> Sample:
    """Return the sample whose image and JSON are at these places of a shard; both are checked.

    `images` is the folder of images that the shard only points to. ValueError for anything but a
    record of this key, and for another image than the one the record was made for.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_shard
        >>> shard = Path(tempfile.mkdtemp(), "train-000000.tar")
        >>> facts = write_shard(shard, read_rectangles("", seed=0, limit=2))
        >>> image, label = sample_places(shard)[0]
        >>> read_sample(shard, image, label).key
        'rectangles-000000'
    """
    where = f"{path}:{label.name}"
    record = parse_record(read_member(path, label), where=where)
    if record.key != label.name.rpartition(".")[0]:
        raise ValueError(f"{where}: says its key is {record.key}; make it again")
    if image is not None:
        content, extension = read_member(path, image), image.name.rpartition(".")[2]
    else:
        file = image_path(record, images, where=where)
        content = read_pointed_image(
            record, open_image_file(file, where=where), where=f"{file}, {where}"
        )
        extension = record.extension or ""
    check_image(record, content, where=where)
    return sample_of(record, content, extension, where=where)
