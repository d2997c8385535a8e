"""COCO's JSON (Lin et al. 2014, arXiv:1405.0312): which annotations an image has, and where.

The file is scanned once. What stays is a small index: for each image the bytes at which its
annotations begin and end; they are parsed when the image is read, so that neither memory nor what
travels to other processes grows with the polygons.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from maskspace.data.files import bounded_bytes
from maskspace.data.storage import AnyPath, open_ranged

#: The largest JSON that is read by default; COCO's largest, instances_train2017, has 470 MB.
MAX_JSON_BYTES = 600_000_000

#: The licence of an image of which the file says nothing.
UNSTATED = "not stated"

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, kw_only=True)
class CocoImage:
    """An image in the JSON: its names, best first, its size, and its annotations' bytes there."""

    names: tuple[str, ...]
    size_hw: tuple[int, int]
    licence: str
    spans: tuple[tuple[int, int], ...]


def index_coco(path: AnyPath, *, max_bytes: int = MAX_JSON_BYTES) -> list[CocoImage]:
    """Return the images of a COCO JSON in its order.

    Raises ValueError in one line that names the file: above `max_bytes`, not JSON, not COCO's.
    """
    try:
        content = bounded_bytes(path, limit=max_bytes)
    except ValueError as error:
        mend = "; set max_json_bytes if memory allows" if "the limit" in str(error) else ""
        raise ValueError(f"{error}{mend}") from None
    # as latin-1 a character is a byte: places in the text are places in the file
    text = content.decode("latin-1")
    try:
        return _indexed(text, str(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error.msg} at byte {error.pos})") from None
    except RecursionError:
        raise ValueError(f"{path}: nests too deep for COCO's JSON; check the file") from None


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


def _indexed(text: str, place: str) -> list[CocoImage]:
    spans: dict[object, list[tuple[int, int]]] = {}
    images: list[Mapping] = []
    licences: dict[str, str] = {}
    keys = set()
    for key, begin, end, value in _entries(text, ("images", "annotations", "licenses")):
        keys.add(key)
        if begin is None or end is None:
            continue
        if not isinstance(value, Mapping):
            raise ValueError(f"{place}: `{key}` holds {str(value)[:40]!r}, not an object")
        if key == "annotations":
            spans.setdefault(_identity(value, "image_id", place), []).append((begin, end))
            continue
        value = json.loads(text[begin:end].encode("latin-1"))
        if key == "images":
            images.append(value)
        else:
            licences[str(value.get("id"))] = str(value.get("name") or UNSTATED)
    for key in ("images", "annotations"):
        if key not in keys:
            raise ValueError(f"{place}: not COCO's JSON: no list `{key}`; check the dataset's kind")
    found = {_identity(one, "id", place): one for one in images}
    if len(found) < len(images):
        raise ValueError(f"{place}: two images share an id; give each its own")
    for lone in spans.keys() - found.keys():
        raise ValueError(f"{place}: an annotation is of image {lone!r}, which is not listed")
    return [
        CocoImage(
            names=_names(one, place),
            size_hw=(_side(one, "height", place), _side(one, "width", place)),
            licence=licences.get(str(one.get("license")), UNSTATED),
            spans=tuple(spans.get(identity, ())),
        )
        for identity, one in found.items()
    ]


def _entries(
    text: str, lists: tuple[str, ...]
) -> Iterator[tuple[str, int | None, int | None, object]]:
    """Yield the name, place and value of each element of the named lists of a JSON object.

    A list also gives its name alone, without a place, so that an empty one is known.
    """
    position = _expect(text, _skip(text, 0), "{")
    while text[position : position + 1] != "}":
        key, position = _value(text, position)
        position = _expect(text, _skip(text, position), ":")
        if key in lists and text[position : position + 1] == "[":
            yield key, None, None, None
            position = _skip(text, position + 1)
            while text[position : position + 1] != "]":
                value, end = _value(text, position)
                yield key, position, end, value
                position = _next(text, end, "]")
            position += 1
        else:
            _, position = _value(text, position)
        position = _next(text, position, "}")
    if _skip(text, position + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text[:0], position + 1)


def _value(text: str, position: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python takes no whole number of more than 4300 digits
        raise json.JSONDecodeError("Number too long", text[:0], position) from None


def _next(text: str, position: int, closing: str) -> int:
    """Return the place after a comma, or of the closing bracket."""
    position = _skip(text, position)
    return position if text[position : position + 1] == closing else _expect(text, position, ",")


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise json.JSONDecodeError(f"Expecting {character!r}", text[:0], position)
    return _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


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
