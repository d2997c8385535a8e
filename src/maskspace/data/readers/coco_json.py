"""COCO's JSON (Lin et al. 2014, arXiv:1405.0312): which annotations an image has, and where.

Input: a JSON of up to gigabytes. Idea: keep places in the file instead of polygons. Steps: the file
is scanned once, piece by piece; for each image the bytes at which its annotations begin and end are
kept; an annotation is parsed when its image is read. Cost: one pass over the file, and 16 bytes of
memory an annotation, whatever the size of its polygons.
"""

import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from maskspace.data.listings import NoSplitError, inside, split_in
from maskspace.data.readers.json_lists import NotJsonError, list_elements
from maskspace.data.readers.json_values import flag_of, identity_of, whole_of
from maskspace.files import AnyPath, RangedFile, bounded_size, open_ranged
from maskspace.types import Category

#: The largest JSON that is read by default; LVIS's train has about 1.1 GB, COCO's largest 470 MB.
MAX_JSON_BYTES = 2_000_000_000

#: The most images and annotations of a file: 17 times LVIS's, whose places take some 300 MB.
MAX_IMAGES, MAX_ANNOTATIONS = 2_000_000, 20_000_000

#: The licence of an image without a licence in the file.
UNSTATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class CocoImage:
    """An image in the JSON, and where its annotations are in the file.

    Args:
        names: paths that the image may have, the most likely first.
        size_hw: rows and columns as the JSON says; None where it says none.
        licence: name of the image's licence.
        places: for one annotation after the other its first byte and the byte after its last.
        identity: the image's id in the JSON (default: empty).

    Example:
        >>> places = array("q", [10, 30, 40, 70])  # annotations at the bytes 10..30 and 40..70
        >>> image = CocoImage(names=("a.jpg",), size_hw=None, licence="CC BY", places=places)
        >>> image.spans
        ((10, 30), (40, 70))
    """

    names: tuple[str, ...]
    size_hw: tuple[int, int] | None
    licence: str
    places: array
    identity: int | str = ""

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First byte, and byte after the last, of each annotation."""
        return tuple(zip(self.places[::2], self.places[1::2], strict=True))


@dataclass(frozen=True, kw_only=True)
class CocoIndex:
    """What a COCO JSON holds: its images, and how much was left out.

    Args:
        images: the images in the order of the file.
        left_out: number of annotations and images that were left out, by reason.
        categories: the table of categories (default: empty).
        unlisted: number of annotations whose category is not in that table; they are kept, without
            a category (default 0).

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "instances_val.json")
        >>> images, annotations = [{"id": 1, "file_name": "a.jpg"}], [{"id": 5, "image_id": 1}]
        >>> _ = path.write_text(json.dumps({"images": images, "annotations": annotations}))
        >>> index = index_json(path, fault=lambda record: "no segmentation")
        >>> index.notes(path.name)
        ('instances_val.json: 1 left out: annotations with no segmentation',)
    """

    images: tuple[CocoImage, ...]
    left_out: Counter[str]
    categories: tuple[Category, ...] = ()
    unlisted: int = 0

    def notes(self, name: str) -> tuple[str, ...]:
        """Return one line for each reason, and one for categories that are not listed.

        The lines start with `name`, the name of the file.
        """
        lines = [f"{name}: {n} left out: {reason}" for reason, n in self.left_out.items()]
        if self.unlisted:
            lines.append(f"{name}: {self.unlisted} annotations of a category that is not listed")
        return tuple(lines)


def merged_categories(
    tables: Iterable[tuple[str, tuple[Category, ...]]],
) -> tuple[Category, ...]:
    """Return the categories of several files as one table, sorted by id.

    Each table comes with the name of its file. Raises ValueError where two files give one id to
    different categories.

    Example:
        >>> car, sky = Category(id=3, name="car"), Category(id=1, name="sky")
        >>> [one.id for one in merged_categories([("a.json", (car,)), ("b.json", (sky, car))])]
        [1, 3]
    """
    by_id: dict[int, Category] = {}
    for place, table in tables:
        for category in table:
            if by_id.setdefault(category.id, category) != category:
                raise ValueError(
                    f"{place}: category {category.id} is {category.name!r} here and "
                    f"{by_id[category.id].name!r} in another place; give each its own id"
                )
    return tuple(by_id[identity] for identity in sorted(by_id))


def category_said(record: Mapping) -> int | None:
    """Return the category id of an annotation as written; None where it is missing or no number.

    Example:
        >>> category_said({"category_id": 3}), category_said({})
        (3, None)
    """
    try:
        return whole_of(record.get("category_id"), what="category_id")
    except ValueError:
        return None


def category_of(record: Mapping, known: Set[int]) -> int | None:
    """Return the category id of an annotation; None where it is not one of the `known` ids.

    Example:
        >>> category_of({"category_id": 3}, {1, 3}), category_of({"category_id": 7}, {1, 3})
        (3, None)
    """
    identity = category_said(record)
    return identity if identity in known else None


#: Function of an annotation: why it can have no mask in any image, or None.
Fault = Callable[[Mapping], str | None]


def index_json(
    path: AnyPath, *, max_bytes: int = MAX_JSON_BYTES, fault: Fault = lambda _: None
) -> CocoIndex:
    """Return the index of a COCO JSON: its images in the order of the file, and what is left out.

    A file name that is listed twice with the same size is one image, with the annotations of both.
    Left out and counted are annotations with a `fault`, annotations without an image id or of an
    image that is not listed, and images without a name.

    Args:
        path: the JSON.
        max_bytes: a larger file is refused (default 2 000 000 000).
        fault: function of an annotation; it returns why this annotation can have no mask, or None
            (default: never a fault).

    Raises ValueError in one line that names the file: it is too large, not JSON, or not COCO's.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "instances_val.json")
        >>> images, annotations = [{"id": 1, "file_name": "a.jpg"}], [{"id": 5, "image_id": 1}]
        >>> _ = path.write_text(json.dumps({"images": images, "annotations": annotations}))
        >>> index_json(path).images[0].names
        ('a.jpg',)
        >>> index_json(path, fault=lambda record: "no segmentation").left_out
        Counter({'annotations with no segmentation': 1})
    """
    try:
        size = bounded_size(path, limit=max_bytes)
    except ValueError as error:
        mend = "; set max_json_bytes if time allows" if "the limit" in str(error) else ""
        raise ValueError(f"{error}{mend}") from None
    try:
        return _Reading(str(path), fault).read(open_ranged(path), size)
    except NotJsonError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    except RecursionError:
        raise ValueError(f"{path}: nests too deep for COCO's JSON; check the file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); check the file") from None


def read_annotations(path: AnyPath, image: CocoImage) -> list[Mapping]:
    """Return the annotations of an image as dictionaries, read from their places in the file.

    Raises ValueError where the file has changed since it was indexed.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "instances_val.json")
        >>> images, annotations = [{"id": 1, "file_name": "a.jpg"}], [{"id": 5, "image_id": 1}]
        >>> _ = path.write_text(json.dumps({"images": images, "annotations": annotations}))
        >>> read_annotations(path, index_json(path).images[0])
        [{'id': 5, 'image_id': 1}]
    """
    file = open_ranged(path)
    try:
        return [json.loads(file.read_at(begin, end - begin)) for begin, end in image.spans]
    except ValueError:
        raise ValueError(f"{path}: has changed since it was indexed; start again") from None


def find_image(image: CocoImage, root: AnyPath, folders: tuple[str, ...]) -> AnyPath:
    """Return the path of an image: its first name that is a file in one of the folders.

    The folders are relative to `root`; "" is the root itself. Raises ValueError where there is no
    such file, and where two folders have a file of that name.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "instances_val.json")
        >>> images, annotations = [{"id": 1, "file_name": "a.jpg"}], [{"id": 5, "image_id": 1}]
        >>> _ = path.write_text(json.dumps({"images": images, "annotations": annotations}))
        >>> path.parent.joinpath("val").mkdir()
        >>> path.parent.joinpath("val", "a.jpg").touch()
        >>> find_image(index_json(path).images[0], path.parent, ("", "val")).parent.name
        'val'
    """
    for name in image.names:
        paths = [root / folder / name if folder else root / name for folder in folders]
        files = {str(_real(path)): path for path in paths if path.is_file()}
        if len(files) > 1:
            raise ValueError(
                f"{' and '.join(str(path) for path in files.values())}: both may be the image "
                f"{name}; name its folder with the option `images`"
            )
        if files:
            return next(iter(files.values()))
    places = ", ".join(folder or "the root" for folder in folders)
    raise ValueError(
        f"{root}: no image {image.names[0]} in {places}; name its folder with the option `images`"
    )


def _real(path: AnyPath) -> AnyPath:
    return path.resolve() if isinstance(path, Path) else path


def annotation_files(
    root: AnyPath, patterns: tuple[str, ...], *, given: str | None, split: str | None
) -> list[tuple[AnyPath, str | None]]:
    """Return the JSON files of a dataset, sorted by name, each with its split.

    Args:
        root: the dataset's folder.
        patterns: glob patterns in order; only the first that finds a file counts.
        given: path of one file relative to `root`, taken instead of the patterns' files (None:
            none). Its split is `split` if that is given, else the one in its name.
        split: only files of this split (None: all files).

    The split of a file is the one that its name says, or else the name of its folder. Raises
    NoSplitError, a ValueError, where there is no file or none of `split`.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "instances_val.json")
        >>> images, annotations = [{"id": 1, "file_name": "a.jpg"}], [{"id": 5, "image_id": 1}]
        >>> _ = path.write_text(json.dumps({"images": images, "annotations": annotations}))
        >>> files = annotation_files(path.parent, ("*.json",), given=None, split="val")
        >>> [(file.name, split) for file, split in files]
        [('instances_val.json', 'val')]
    """
    if given is not None:
        path = root / given
        return [(path, split or split_in(path.stem))]
    paths = next((f for p in patterns if (f := sorted(root.glob(p), key=str))), [])
    named = [(path, _split_of(path, root)) for path in paths]
    chosen = [(path, file_split) for path, file_split in named if split in (None, file_split)]
    if not chosen:
        names = ", ".join(inside(path, root) for path in paths) or f"no {' or '.join(patterns)}"
        raise NoSplitError(
            f"{root}: no annotations{f' of the split {split}' if split else ''} ({names}); "
            "correct the root, or name the file with the option `annotations`",
            [file_split for _, file_split in named],
        )
    return chosen


def _split_of(path: AnyPath, root: AnyPath) -> str | None:
    folder = "" if path.parent == root else path.parent.name
    return split_in(path.stem) or split_in(folder)


def split_notes(files: Sequence[tuple[AnyPath, str | None]]) -> tuple[str, ...]:
    """Return a note that says which split each file has by its name.

    Example:
        >>> split_notes([(Path("instances_val.json"), "val"), (Path("all.json"), None)])
        ("splits by the files' names: instances_val.json: val, all.json: no split",)
    """
    splits = ", ".join(f"{path.name}: {split or 'no split'}" for path, split in files)
    return (f"splits by the files' names: {splits}",)


class _Reading:
    """One pass over a JSON file, and what has been collected so far."""

    def __init__(self, place: str, fault: Fault) -> None:
        self._place, self._fault = place, fault
        self._places: dict[int | str, array] = {}
        self._images: dict[int | str, Mapping] = {}
        self._licences: dict[str, str] = {}
        self._left_out: Counter[str] = Counter()
        self._categories: list[Category] = []
        self._number_by_category: Counter[object] = Counter()  # of annotations
        self._number = 0

    def read(self, file: RangedFile, size: int) -> CocoIndex:
        """Return what the file holds."""
        handlers = {
            "annotations": self._annotation,
            "images": self._image,
            "licenses": self._licence,
            "categories": self._category,
        }
        keys = set()
        for key, begin, text, value in list_elements(file, size, name=self._place):
            keys.add(key)
            if text and key in handlers:
                handlers[key](begin, text, value)
                self._check_number()
        for key in ("images", "annotations"):
            if key not in keys:
                raise ValueError(
                    f"{self._place}: not COCO's JSON: no list `{key}`; check the dataset's kind"
                )
        table = merged_categories([(self._place, tuple(self._categories))])
        listed_ids = {category.id for category in table}
        return CocoIndex(
            images=tuple(self._listed()),
            left_out=self._left_out,
            categories=table,
            unlisted=sum(
                n for identity, n in self._number_by_category.items() if identity not in listed_ids
            )
            if listed_ids
            else 0,
        )

    def _annotation(self, begin: int, text: str, value: object) -> None:
        self._number += 1
        if not isinstance(value, Mapping):
            self._left_out["annotations that are no objects"] += 1
            return
        try:
            identity = identity_of(value.get("image_id"), what="image_id")
        except ValueError as error:
            self._left_out[f"annotations with {error}"] += 1
            return
        reason = self._fault(value)
        if reason is not None:
            self._left_out[f"annotations with {reason}"] += 1
            return
        if "category_id" in value:
            self._number_by_category[category_said(value)] += 1
        spans = self._places.setdefault(_utf8_text(identity), array("q"))
        spans.extend((begin, begin + len(text)))

    def _image(self, begin: int, text: str, value: object) -> None:
        del begin
        if not isinstance(value, Mapping):
            self._left_out["images that are no objects"] += 1
            return
        image = _utf8(text, self._place)
        try:
            identity = identity_of(image.get("id"), what="id")
        except ValueError as error:
            self._left_out[f"images with {error}"] += 1
            return
        first = self._images.setdefault(identity, image)
        if first is not image and first.get("file_name") != image.get("file_name"):
            raise ValueError(
                f"{self._place}: two images share the id {identity!r:.40}: "
                f"{first.get('file_name')!s:.80} and {image.get('file_name')!s:.60}; number them "
                "anew"
            )

    def _category(self, begin: int, text: str, value: object) -> None:
        """Add a row of `categories`; it is a thing unless its `isthing` (panoptic JSON) is 0."""
        del begin, value
        record = _utf8(text, self._place)
        try:
            identity = whole_of(record.get("id"), what="id")
            is_thing = flag_of(record.get("isthing", 1), what="isthing")
        except ValueError as error:
            self._left_out[f"categories with {error}"] += 1
            return
        if identity is None:
            self._left_out["categories without id"] += 1
            return
        name = str(record.get("name") or identity)
        self._categories.append(Category(id=identity, name=name, is_thing=is_thing))

    def _licence(self, begin: int, text: str, value: object) -> None:
        del begin, value
        licence = _utf8(text, self._place)
        self._licences[str(licence.get("id"))] = str(licence.get("name") or UNSTATED)

    def _check_number(self) -> None:
        if self._number > MAX_ANNOTATIONS or len(self._images) > MAX_IMAGES:
            raise ValueError(
                f"{self._place}: more than {MAX_IMAGES} images or {MAX_ANNOTATIONS} annotations; "
                "divide it into several files"
            )

    def _listed(self) -> Iterator[CocoImage]:
        for identity in self._places.keys() - self._images.keys():
            number = len(self._places[identity]) // 2
            self._left_out["annotations of images that are not listed"] += number
        merged: dict[tuple[object, ...], CocoImage] = {}
        for identity, entry in self._images.items():
            names = _names(entry, self._place)
            if not names:
                self._left_out["images without file_name and coco_url"] += 1
                continue
            image = CocoImage(
                names=names,
                size_hw=self._size(entry),
                licence=self._licences.get(str(entry.get("license")), UNSTATED),
                places=self._places.get(identity, array("q")),
                identity=identity,
            )
            listed = merged.setdefault((names, image.size_hw), image)
            if listed is not image:
                listed.places.extend(image.places)
        yield from merged.values()

    def _size(self, image: Mapping) -> tuple[int, int] | None:
        try:
            sides = [whole_of(image.get(side), what=side) for side in ("height", "width")]
        except ValueError as error:
            raise ValueError(
                f"{self._place}: image {image.get('id')!s:.40}: {error}; correct it"
            ) from None
        height, width = sides
        return (height, width) if height and width and min(height, width) > 0 else None


def _utf8(text: str, place: str) -> Mapping:
    """Return the used fields of an element, decoded from bytes that were read as Latin-1."""
    try:
        value = json.loads(text.encode("latin-1"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: {text[:40]!r} is not UTF-8 ({error.reason})") from None
    used = ("id", "name", "isthing", "file_name", "coco_url", "height", "width", "license")
    return {key: value[key] for key in used if key in value} if isinstance(value, dict) else {}


def _utf8_text(identity: int | str) -> int | str:
    """Return an id decoded from bytes that were read as Latin-1."""
    if isinstance(identity, int) or identity.isascii():
        return identity
    try:
        return identity.encode("latin-1").decode("utf-8")
    except UnicodeError:  # it was written with escapes, so it is decoded already
        return identity


def _names(image: Mapping, place: str) -> tuple[str, ...]:
    """Return the paths that an image may have: its file_name, then the ends of its URL.

    LVIS has the URL alone. Backslashes, which Windows writes, become slashes. Raises ValueError for
    a name that would leave the dataset's folder.
    """
    file_name = image.get("file_name")
    url = image.get("coco_url")
    names = [file_name.replace("\\", "/")] if isinstance(file_name, str) and file_name else []
    if isinstance(url, str) and url:
        names += ["/".join(url.split("/")[-2:]), url.split("/")[-1]]
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
            raise ValueError(
                f"{place}: the image name {name!r:.80} leaves the dataset's folder; make it "
                "relative to the folder of the images"
            )
    return tuple(dict.fromkeys(names))
