"""COCO's JSON (Lin et al. 2014, arXiv:1405.0312): which annotations an image has, and where.

The file is scanned once, piece by piece. What stays is a small index: for each image the bytes at
which its annotations begin and end; they are parsed when the image is read, so that neither memory
nor what travels to other processes grows with the polygons.
"""

import json
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from maskspace.data.readers.json_lists import NotJsonError, list_elements
from maskspace.files import AnyPath, bounded_size, open_ranged

#: The largest JSON that is read by default; LVIS's train has about 1.1 GB, COCO's largest 470 MB.
MAX_JSON_BYTES = 2_000_000_000

#: The most images and annotations of a file: 17 times LVIS's, some 300 MB of places and more.
MAX_IMAGES, MAX_ANNOTATIONS = 2_000_000, 20_000_000

#: The licence of an image of which the file says nothing.
UNSTATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class CocoImage:
    """An image in the JSON: its names, best first, its size, and its annotations' bytes there.

    `places` holds the first byte and the end of one annotation after the other.
    """

    names: tuple[str, ...]
    size_hw: tuple[int, int]
    licence: str
    places: array

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Where each annotation is."""
        return tuple(zip(self.places[::2], self.places[1::2], strict=True))


def index_coco(path: AnyPath, *, max_bytes: int = MAX_JSON_BYTES) -> list[CocoImage]:
    """Return the images of a COCO JSON in its order.

    Raises ValueError in one line that names the file: above `max_bytes`, not JSON, not COCO's.
    """
    try:
        size = bounded_size(path, limit=max_bytes)
    except ValueError as error:
        mend = "; set max_json_bytes if time allows" if "the limit" in str(error) else ""
        raise ValueError(f"{error}{mend}") from None
    try:
        return _indexed(path, size)
    except NotJsonError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    except RecursionError:
        raise ValueError(f"{path}: nests too deep for COCO's JSON; check the file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); check the file") from None


def read_annotations(path: AnyPath, image: CocoImage) -> list[Mapping]:
    """Return the annotations of an image as their dictionaries."""
    file = open_ranged(path)
    try:
        return [json.loads(file.read_at(begin, end - begin)) for begin, end in image.spans]
    except ValueError:
        raise ValueError(f"{path}: has changed since it was indexed; start again") from None


def find_image(image: CocoImage, root: AnyPath, folders: tuple[str, ...]) -> AnyPath:
    """Return the first file that is there: each name in each folder, folders relative to `root`."""
    for name in image.names:
        for folder in folders:
            path = root / folder / name if folder else root / name
            if path.is_file():
                return path
    places = ", ".join(folder or "the root" for folder in folders)
    raise ValueError(
        f"{root}: no image {image.names[0]} in {places}; name its folder with the option `images`"
    )


def annotation_files(
    root: AnyPath, patterns: tuple[str, ...], *, given: str | None, split: str | None
) -> list[tuple[AnyPath, str | None]]:
    """Return the JSON files of a dataset, each with the split that its name says, sorted by name.

    `root` is the dataset's folder. The first pattern that finds any file counts; `given` names one
    file instead. Raises ValueError where there is none, or none of `split`.
    """
    if given is not None:
        found = [root / given]
    else:
        found = next((f for p in patterns if (f := sorted(root.glob(p), key=str))), [])
    named = [(path, _split_in(path.stem)) for path in found]
    kept = [(path, own) for path, own in named if split in (None, own)]
    if not kept:
        there = ", ".join(path.name for path in found) or f"no {' or '.join(patterns)}"
        raise ValueError(
            f"{root}: no annotations{f' of the split {split}' if split else ''} ({there}); "
            "correct the root, or name the file with the option `annotations`"
        )
    return kept


def _split_in(stem: str) -> str | None:
    found = re.search(r"train|val|test", stem)
    return found[0] if found else None


def _indexed(path: AnyPath, size: int) -> list[CocoImage]:
    place, file = str(path), open_ranged(path)
    places: dict[object, array] = {}
    images: dict[object, Mapping] = {}
    licences: dict[str, str] = {}
    keys, number = set(), 0
    for key, begin, text, value in list_elements(file, size, name=place):
        keys.add(key)
        if not text or key not in ("images", "annotations", "licenses"):
            continue
        if not isinstance(value, Mapping):
            raise ValueError(f"{place}: `{key}` holds {str(value)[:40]!r}, not an object")
        if key == "annotations":
            spans = places.setdefault(_identity(value, "image_id", place), array("q"))
            spans.extend((begin, begin + len(text)))
            number += 1
        elif key == "images":
            identity = _identity(value, "id", place)
            if identity in images:
                raise ValueError(f"{place}: two images share an id; give each its own")
            images[identity] = _utf8(text, place)
        else:
            licence = _utf8(text, place)
            licences[str(licence.get("id"))] = str(licence.get("name") or UNSTATED)
        if number > MAX_ANNOTATIONS or len(images) > MAX_IMAGES:
            raise ValueError(
                f"{place}: more than {MAX_IMAGES} images or {MAX_ANNOTATIONS} annotations; divide "
                "it into several files"
            )
    for key in ("images", "annotations"):
        if key not in keys:
            raise ValueError(f"{place}: not COCO's JSON: no list `{key}`; check the dataset's kind")
    for lone in places.keys() - images.keys():
        raise ValueError(f"{place}: an annotation is of image {lone!r}, which is not listed")
    return [
        CocoImage(
            names=_names(one, place),
            size_hw=(_side(one, "height", place), _side(one, "width", place)),
            licence=licences.get(str(one.get("license")), UNSTATED),
            places=places.get(identity, array("q")),
        )
        for identity, one in images.items()
    ]


def _utf8(text: str, place: str) -> Mapping:
    """Return an element as it is meant, less what is not used: it was read byte by byte."""
    try:
        value = json.loads(text.encode("latin-1"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: {text[:40]!r} is not UTF-8 ({error.reason})") from None
    used = ("id", "name", "file_name", "coco_url", "height", "width", "license")
    return {key: value[key] for key in used if key in value}


def _identity(record: Mapping, key: str, place: str) -> int | str:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{place}: an entry has no `{key}` (whole number or text); add it")
    return value


def _side(image: Mapping, key: str, place: str) -> int:
    value = image.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{place}: image {image.get('id')}: `{key}` is {value!r}, not pixels")
    return value


def _names(image: Mapping, place: str) -> tuple[str, ...]:
    """Return where the image may be: its file_name, and what its URL ends with (LVIS has no more).

    Names that leave their folder are refused.
    """
    said = image.get("file_name")
    url = image.get("coco_url")
    names = [said] if isinstance(said, str) and said else []
    if isinstance(url, str) and url:
        names += ["/".join(url.split("/")[-2:]), url.split("/")[-1]]
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{place}: the image name {name!r} leaves the dataset's folder")
    if not names:
        raise ValueError(f"{place}: image {image.get('id')} has no file_name and no coco_url")
    return tuple(dict.fromkeys(names))
