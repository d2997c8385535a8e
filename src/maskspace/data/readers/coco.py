"""COCO instances (Lin et al. 2014, arXiv:1405.0312), LVIS and all else annotated in their JSON.

Usual layout: `annotations/instances_SPLIT.json` beside `SPLIT/` or `images/`. Segmentations are
polygons, compressed or plain run lengths; crowds become masks to ignore. Ids, areas and boxes are
counted from the masks, not taken from the file.
"""

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import SourceImage, read_image
from maskspace.data.listings import check_split, dataset_root, distinct_keys, inside
from maskspace.data.readers.coco_json import (
    MAX_JSON_BYTES,
    CocoImage,
    annotation_files,
    category_of,
    find_image,
    index_json,
    merged_categories,
    read_annotations,
    split_notes,
)
from maskspace.data.readers.segmentations import (
    coded_annotations,
    require_some,
    structural_fault,
)
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.rgb import White
from maskspace.types import Category, Sample

#: The JSON of an image, its split, and its entry there.
Listed = tuple[AnyPath, str | None, CocoImage]
#: The JSON, the entry and the size of an image -> its masks, and what is left out.
Masks = Callable[[AnyPath, CocoImage, tuple[int, int]], tuple[list[Coded], tuple[str, ...]]]

SPLITS = ("train", "val", "test")
JSON_FILES = (
    "annotations/instances*.json",
    "annotations/lvis*.json",
    "annotations/*.json",
    "*.json",
    "*/_annotations.coco.json",
)


def read_coco(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
    unannotated: bool = False,
    exif: bool = True,
    white: White | None = None,
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return the images of one or more COCO JSON files in their order, those of `split` if given.

    `annotations` names the JSON, which is then of `split`, and `images` the folder of the images,
    both relative to `root`; by default they are looked for where COCO, LVIS and Roboflow have them,
    those of a JSON never in the folder of another split. The split is what the JSON's name, or its
    folder's, says in a word. Images without an annotation are left out unless `unannotated`;
    annotations without a mask always are, and counted. `exif: false` is for JSON of the stored
    pixels: photos are not turned. `white` is of images with more than 8 bits, see `read_rgb`. A
    JSON above `max_json_bytes` is refused.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (8, 6)).save(root / "a.png")
        >>> square = {"image_id": 1, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}
        >>> coco = {
        ...     "images": [{"id": 1, "file_name": "a.png"}],
        ...     "categories": [{"id": 3, "name": "car"}],
        ...     "annotations": [square],
        ... }
        >>> path = root / "instances_val.json"
        >>> _ = path.write_text(json.dumps(coco))
        >>> source = read_coco(str(root), seed=0, limit=None)
        >>> source.keys, source.splits, source.categories[0].name
        (('a',), ('val',), 'car')
        >>> sample = source[0]
        >>> sample.size_hw, [(one.area, one.category) for one in sample.annotations]
        ((6, 8), [(16, 3)])
    """
    check_split("coco", split, SPLITS)
    folder = dataset_root(root)
    files = annotation_files(folder, JSON_FILES, given=annotations, split=split)
    indexed = [
        (path, own, index_json(path, max_bytes=max_json_bytes, fault=structural_fault))
        for path, own in files
    ]
    notes = tuple(note for path, _, index in indexed for note in index.notes(path.name))
    listed = [
        (path, own, image)
        for path, own, index in indexed
        for image in index.images
        if image.spans or unannotated
    ]
    if not listed:
        said = "; ".join((f"{root}: no image with an annotation", *notes))
        raise ValueError(f"{said}; set unannotated to keep the others")
    categories = merged_categories((str(path), index.categories) for path, _, index in indexed)
    return coco_source(
        partial(_masks, known=frozenset(category.id for category in categories)),
        folder,
        listed,
        Layout(images=images, dataset="coco", containment=containment, exif=exif, white=white),
        limit=limit,
        notes=split_notes(files) + notes,
        categories=categories,
    )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the images of a COCO JSON are, and how its samples are made.

    `images` is the folder that was given; `licence` has the image's put in.

    Example:
        >>> Layout(images="val2017", dataset="coco", containment=0.95).licence.format("CC BY 2.0")
        'CC BY 2.0'
    """

    images: str | None
    dataset: str
    containment: float
    exif: bool = True
    white: White | None = None
    licence: str = "{}"


def coco_source(
    masks: Masks,
    root: AnyPath,
    listed: list[Listed],
    layout: Layout,
    *,
    limit: int | None,
    notes: tuple[str, ...] = (),
    categories: tuple[Category, ...] = (),
) -> Source:
    """Return the source of listed images, in their order; `masks` reads those of one.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (8, 6)).save(root / "a.png")
        >>> square = {"image_id": 1, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}
        >>> coco = {
        ...     "images": [{"id": 1, "file_name": "a.png"}],
        ...     "categories": [{"id": 3, "name": "car"}],
        ...     "annotations": [square],
        ... }
        >>> path = root / "instances_val.json"
        >>> _ = path.write_text(json.dumps(coco))
        >>> from maskspace.data.readers.coco_json import index_coco
        >>> layout = Layout(images=None, dataset="toy", containment=0.95)
        >>> def masks_of(path, entry, size_hw):
        ...     records = read_annotations(path, entry)
        ...     return coded_annotations(records, size_hw)
        >>> listed = [(path, "val", image) for image in index_coco(path)]
        >>> source = coco_source(masks_of, root, listed, layout, limit=None)
        >>> source.keys, source[0].annotations[0].area
        (('a',), 16)
    """
    keys = distinct_keys([_names(*one) for one in listed])[:limit]
    kept = listed[:limit]
    folders = {
        str(path): image_folders(layout.images, path, own, root)
        for path, own, _ in {(str(one[0]), one[1]): one for one in kept}.values()
    }
    first = kept[0]
    find_image(first[2], root, folders[str(first[0])])  # a wrong root is known before a shard is
    return Source(
        keys=keys,
        splits=tuple(own for _, own, _ in kept),
        read=partial(
            _sample,
            masks=masks,
            root=root,
            listed=tuple(kept),
            keys=keys,
            folders=folders,
            layout=layout,
        ),
        notes=notes,
        categories=categories,
    )


def _names(path: AnyPath, split: str | None, image: CocoImage) -> tuple[str, ...]:
    """Return what may be the key of an image, from its stem to what no other image has."""
    name = image.names[0]
    stem = name.rsplit(".", 1)[0]
    of_split = (f"{split}-{stem}",) if split else ()
    return (
        stem,
        *of_split,
        name,
        f"{path.stem}-{name}",
        f"{path.stem}-{name}-{image.identity}",
        f"{path}-{name}-{image.identity}",
    )


def image_folders(
    given: str | None, path: AnyPath, split: str | None, root: AnyPath
) -> tuple[str, ...]:
    """Return where the images of a JSON may be: `given` alone, or COCO's usual folders.

    `instances_val2017` has them in `val2017`, `images/val2017`, `images`, the root or the folder of
    the JSON itself.

    Example:
        >>> from pathlib import Path
        >>> root = Path("coco")
        >>> path = root / "annotations" / "instances_val2017.json"
        >>> folders = image_folders(None, path, "val", root)
        >>> folders[:4]
        ('images', 'val2017', 'val', 'valid')
        >>> image_folders("photos", path, "val", root)
        ('photos',)
    """
    if given is not None:
        return (given,)
    own = [path.stem.split("_", 1)[-1], *re.findall(rf"{split}\w*", path.stem) * bool(split)]
    own += [split] if split else []
    own += ["valid"] if split == "val" else []
    names = dict.fromkeys(name for name in own if name)
    beside = inside(path.parent, root) if path.parent != root else ""
    found = ("images", *names, *(f"images/{name}" for name in names), beside, "")
    return tuple(dict.fromkeys(found))


def _sample(
    index: int,
    *,
    masks: Masks,
    root: AnyPath,
    listed: tuple[Listed, ...],
    keys: tuple[str, ...],
    folders: dict[str, tuple[str, ...]],
    layout: Layout,
) -> Sample:
    label_path, split, entry = listed[index]
    path = find_image(entry, root, folders[str(label_path)])
    image = read_image(path, exif=layout.exif, white=layout.white)
    _check_size(image, entry, label_path)
    place = f"{label_path}: {entry.names[0]}"
    coded, left_out = masks(label_path, entry, image.size_hw)
    require_some(coded, left_out, place=place)
    try:
        annotations = annotate_coded(coded, image.size_hw, containment=layout.containment)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return Sample(
        key=keys[index],
        dataset=layout.dataset,
        image=image.encoded,
        extension=image.extension,
        size_hw=image.size_hw,
        annotations=annotations,
        split=split,
        licence=layout.licence.format(entry.licence),
        source=inside(path, root),
        left_out=left_out,
    )


def _check_size(image: SourceImage, entry: CocoImage, label_path: AnyPath) -> None:
    """Raise ValueError where the JSON says another size than the image has."""
    said = entry.size_hw
    if said is None or said == image.size_hw:
        return
    mend = "pair the files again"
    if image.is_turned and said == image.size_hw[::-1]:
        mend = "its EXIF turns it, the JSON is of the stored pixels: set the option exif to false"
    raise ValueError(
        f"{label_path}: says {entry.names[0]} is {said}, it is {image.size_hw} (h, w); {mend}"
    )


def _masks(
    label_path: AnyPath, entry: CocoImage, size_hw: tuple[int, int], *, known: Set[int]
) -> tuple[list[Coded], tuple[str, ...]]:
    return coded_annotations(
        read_annotations(label_path, entry), size_hw, category=partial(category_of, known=known)
    )
