"""What `maskspace segment` writes of an image: label maps, COCO's JSON, polygons, arrays."""

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from maskspace.cli.frame import MARK, png
from maskspace.cli.polygon_files import geojson, svg
from maskspace.files import appearing

if TYPE_CHECKING:
    import numpy as np

    from maskspace.data.map_place import MapPlace
    from maskspace.types import Category, Prediction

#: Endings of the files of each --format, after the image's name without its suffix.
ENDINGS = {
    "png": (".labels.png", ".overlay.png"),
    "coco": (".json",),
    "npz": (".npz",),
    "svg": (".svg",),
    "geojson": (".geojson",),
    "tif": (".labels.tif",),
}


#: First in every JSON, so that what wrote it is found without reading all of it.
INFO = {"description": MARK.decode()}


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """One image and what was found: a label map of regions, or ranked masks.

    `name` is the image's file as it is told, `place` that file without its suffix, where files are
    written; `best_on_top` says which of several masks a label map shows, else the smallest;
    `categories` are those of the model's classes, empty where it has none; `map_place` is where the
    image lies on the map, None where that is not known; `geotiff` is its file, if it is one.

    Example:
        >>> import numpy as np
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> one.categories, one.best_on_top
        ((), False)
    """

    name: str
    place: Path
    image: "np.ndarray"
    found: "np.ndarray | Prediction"
    best_on_top: bool = False
    categories: "tuple[Category, ...]" = ()
    map_place: "MapPlace | None" = None
    geotiff: Path | None = None


def files_of(one: Segmented, kind: str) -> dict[Path, bytes]:
    """Return the files of one image, by format.

    Example:
        >>> import numpy as np
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> [path.name for path in files_of(one, "png")]
        ['a.labels.png', 'a.overlay.png']
    """
    endings = ENDINGS[kind]
    contents = _WRITERS[kind](one)
    return {
        one.place.with_name(one.place.name + ending): content
        for ending, content in zip(endings, contents, strict=True)
    }


def shown_labels(one: Segmented) -> "np.ndarray":
    """Return what was found as one label map.

    Example:
        >>> import numpy as np
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> shown_labels(one).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    import numpy as np

    from maskspace.masks import strings_to_label_map

    found = one.found
    if isinstance(found, np.ndarray):
        return found
    priority = "first" if one.best_on_top else "smallest"
    return strings_to_label_map(found.counts, found.size_hw, priority=priority)


def _png_files(one: Segmented) -> tuple[bytes, ...]:
    import numpy as np

    from maskspace.pictures import paint_labels

    labels = shown_labels(one)
    depth = np.uint8 if labels.max() <= 255 else np.uint16
    return png(labels.astype(depth)), png(paint_labels(one.image, labels))


def _coco_files(one: Segmented) -> tuple[bytes, ...]:
    document = {
        "info": INFO,
        "images": [image_entry(one, 1)],
        "categories": category_table(one.categories),
        "annotations": annotations_of(one, 1),
    }
    return (json.dumps(document).encode(),)


def category_table(categories: "Sequence[Category]") -> list[dict[str, object]]:
    """Return COCO's categories: the model's, then `region`, for masks of no class.

    Example:
        >>> from maskspace.types import Category
        >>> category_table([Category(id=3, name="cat", is_thing=True)])
        [{'id': 3, 'name': 'cat', 'isthing': 1}, {'id': 4, 'name': 'region'}]
    """
    table = [{"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in categories]
    return [*table, {"id": _region_id(categories), "name": "region"}]


def _region_id(categories: "Sequence[Category]") -> int:
    return 1 + max((category.id for category in categories), default=0)


def image_entry(one: Segmented, image_id: int) -> dict[str, object]:
    """Return COCO's entry of an image.

    Example:
        >>> import numpy as np
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> image_entry(one, 7)
        {'id': 7, 'file_name': 'a.jpg', 'height': 2, 'width': 4}
    """
    height, width = one.image.shape[:2]
    return {"id": image_id, "file_name": one.name, "height": height, "width": width}


def annotations_of(one: Segmented, image_id: int, *, first_id: int | None = None) -> list[dict]:
    """Return COCO's annotations of an image; ids run from `first_id` if it is given.

    Example:
        >>> import numpy as np
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> [(mark["id"], mark["bbox"]) for mark in annotations_of(one, 7)]
        [(1, (0, 0, 2, 2)), (2, (2, 0, 2, 2))]
    """
    import numpy as np

    from maskspace.data.annotations import annotate, annotate_proposals

    found = one.found
    if isinstance(found, np.ndarray):  # one region at a time: all of them may not fit in memory
        marked = [
            replace(annotate(found[None] == label)[0], id=int(label))
            for label in np.unique(found[found > 0])
        ]
    else:
        marked = annotate_proposals(found, categories=one.categories)
    region = _region_id(one.categories)
    ids = {mark.id: mark.id for mark in marked}
    if first_id is not None:
        ids = {mark.id: first_id + number for number, mark in enumerate(marked)}
    return [
        {
            "id": ids[mark.id],
            "image_id": image_id,
            "category_id": region if mark.category is None else mark.category,
            "iscrowd": 0,
            "segmentation": {"size": list(one.image.shape[:2]), "counts": mark.counts},
            "area": mark.area,
            "bbox": mark.box_xywh,
            "score": mark.score,
            "parent": None if mark.parent is None else ids[mark.parent],
        }
        for mark in marked
    ]


def _npz_files(one: Segmented) -> tuple[bytes, ...]:
    import numpy as np

    file = io.BytesIO()
    arrays: dict[str, np.ndarray] = {}
    if isinstance(one.found, np.ndarray):
        arrays["labels"] = one.found
    else:
        arrays |= {"masks": one.found.masks, "scores": one.found.scores}
        if one.found.classes is not None:
            arrays["classes"] = one.found.classes
    np.savez_compressed(file, allow_pickle=False, **arrays)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = MARK
    return (file.getvalue(),)


def _tif_files(one: Segmented) -> tuple[bytes, ...]:
    from maskspace.data.map_place import label_tiff

    # what stands after the last page belongs to none; there the mark is found
    return (label_tiff(shown_labels(one), one.geotiff) + MARK,)


#: What each --format writes of an image, in the order of `ENDINGS`.
_WRITERS: dict[str, Callable[[Segmented], tuple[bytes, ...]]] = {
    "png": _png_files,
    "coco": _coco_files,
    "npz": _npz_files,
    "svg": lambda one: (svg(one),),
    "geojson": lambda one: (geojson(one),),
    "tif": _tif_files,
}


class OneDocument:
    """COCO's JSON of many images, written as they come; what is in memory is one image's.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "all.json")
        >>> with path.open("wb") as file, tempfile.TemporaryFile() as spool:
        ...     OneDocument(file, spool).close()
        >>> sorted(json.loads(path.read_text()))
        ['annotations', 'categories', 'images', 'info']
    """

    def __init__(
        self, file: IO[bytes], spool: IO[bytes], categories: "Sequence[Category]" = ()
    ) -> None:
        self._file, self._spool = file, spool
        self.images = self._annotations = 0
        info, table = (json.dumps(one).encode() for one in (INFO, category_table(categories)))
        file.write(b'{"info": %s, "categories": %s, "images": [' % (info, table))

    def add(self, one: Segmented) -> None:
        """Append an image; its annotations wait in the spool."""
        self.images += 1
        entry = json.dumps(image_entry(one, self.images)).encode()
        self._file.write((b",\n" if self.images > 1 else b"\n") + entry)
        for mark in annotations_of(one, self.images, first_id=self._annotations + 1):
            self._annotations += 1
            line = json.dumps(mark).encode()
            self._spool.write((b",\n" if self._annotations > 1 else b"\n") + line)

    def close(self) -> None:
        """Append the annotations and the end."""
        self._file.write(b'], "annotations": [')
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, self._file)
        self._file.write(b"]}\n")


@contextmanager
def one_document(path: Path, categories: "Sequence[Category]" = ()) -> Iterator[OneDocument]:
    """Give a document to add images to; it appears at `path`, complete, when the block ends.

    Example:
        >>> import numpy as np
        >>> path = Path(tempfile.mkdtemp(), "all.json")
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> with one_document(path) as document:
        ...     for name in ("a", "b"):
        ...         document.add(Segmented(name=name, place=Path(name), image=image, found=labels))
        >>> [mark["image_id"] for mark in json.loads(path.read_text())["annotations"]]
        [1, 1, 2, 2]
    """
    with appearing(path) as partial, partial.open("wb") as file, tempfile.TemporaryFile() as spool:
        document = OneDocument(file, spool, categories)
        yield document
        document.close()
