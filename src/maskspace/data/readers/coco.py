"""COCO instances (Lin et al. 2014, arXiv:1405.0312), LVIS and all else annotated in their JSON.

Usual layout: `annotations/instances_SPLIT.json` beside the images in `SPLIT/` or `images/`. A
segmentation is a list of polygons, or run lengths, compressed or plain. Crowds become masks to
ignore. Ids, areas and boxes are counted from the masks; those in the file are not used.
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

#: Of an image: its JSON, its split, and its entry in the JSON.
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
    """Return one sample for each image of one or more COCO JSON files, in the order of the files.

    The split of a JSON is the word train, val or test in its name or in its folder's name.
    Annotations without a mask are left out and counted in the source's notes.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test" (default None: all three).
        annotations: path of one JSON relative to `root`; it is then of `split`, whatever its name
            says (default None: the places where COCO, LVIS and Roboflow have theirs).
        images: folder of the images relative to `root` (default None: COCO's usual folders, see
            `image_folders`; the images of a split are never looked for in the folder of another
            split).
        unannotated: True keeps images without any annotation (default False: they are left out).
        exif: True turns each image as its EXIF says (default); False where the annotations are of
            the pixels as they are stored.
        white: the value of white in images of more than 8 bits: a number, "minmax" or "percentile"
            (default None: what the file says, see `read_rgb`).
        max_json_bytes: a JSON file of more bytes is refused (default 2 000 000 000).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError in one line that names the file: no JSON is found, a JSON is not COCO's, no
    image is left, or the first image is not there.

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
        (path, file_split, index_json(path, max_bytes=max_json_bytes, fault=structural_fault))
        for path, file_split in files
    ]
    notes = tuple(note for path, _, index in indexed for note in index.notes(path.name))
    listed = [
        (path, file_split, image)
        for path, file_split, index in indexed
        for image in index.images
        if image.spans or unannotated
    ]
    if not listed:
        message = "; ".join((f"{root}: no image with an annotation", *notes))
        raise ValueError(f"{message}; set unannotated to keep the others")
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
    """Where the images of a COCO JSON are, and what is the same in all of its samples.

    Args:
        images: folder of the images relative to the root; None looks in COCO's usual folders.
        dataset: the name of the dataset in each sample.
        containment: as in `read_coco`.
        exif: as in `read_coco` (default True).
        white: as in `read_coco` (default None).
        licence: the licence of a sample; `{}` in it is replaced by the licence of the image
            (default: the licence of the image alone).

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
    """Return the source of listed images, in their order.

    Args:
        masks: function of a JSON's path, an image's entry in it and the image's size; it returns
            the masks of the image and a line for each annotation that it leaves out.
        root: the dataset's folder.
        listed: for each image the path of its JSON, its split and its entry in the JSON; not empty.
        layout: where the images are, and what all samples share.
        limit: only the first so many samples (None: all).
        notes: lines for the source's notes (default: none).
        categories: the table of categories that the masks refer to (default: empty).

    Raises ValueError where the first image is not found, so that a wrong root is known before any
    shard is written.

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
        >>> from maskspace.data.readers.coco_json import index_json
        >>> layout = Layout(images=None, dataset="toy", containment=0.95)
        >>> def masks_of(path, entry, size_hw):
        ...     records = read_annotations(path, entry)
        ...     return coded_annotations(records, size_hw)
        >>> listed = [(path, "val", image) for image in index_json(path).images]
        >>> source = coco_source(masks_of, root, listed, layout, limit=None)
        >>> source.keys, source[0].annotations[0].area
        (('a',), 16)
    """
    keys = distinct_keys([_names(*one) for one in listed])[:limit]
    chosen = listed[:limit]
    folders = {
        str(path): image_folders(layout.images, path, file_split, root)
        for path, file_split, _ in {(str(one[0]), one[1]): one for one in chosen}.values()
    }
    first = chosen[0]
    find_image(first[2], root, folders[str(first[0])])  # a wrong root fails before any shard
    return Source(
        keys=keys,
        splits=tuple(file_split for _, file_split, _ in chosen),
        read=partial(
            _sample,
            masks=masks,
            root=root,
            listed=tuple(chosen),
            keys=keys,
            folders=folders,
            layout=layout,
        ),
        notes=notes,
        categories=categories,
    )


def _names(path: AnyPath, split: str | None, image: CocoImage) -> tuple[str, ...]:
    """Return the keys that an image may have, shortest first; the last belongs to it alone."""
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
    """Return the folders, relative to the root, in which the images of a JSON may be.

    For `instances_val2017.json` they are `val2017`, `images/val2017`, `images`, the root, the
    folder of the JSON itself, and some more of this kind.

    Args:
        given: the folder that the user names; then no other is looked in. None for the usual ones.
        path: path of the JSON.
        split: the split of the JSON, None where it has none.
        root: the dataset's folder.

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
    guesses = [path.stem.split("_", 1)[-1], *re.findall(rf"{split}\w*", path.stem) * bool(split)]
    guesses += [split] if split else []
    guesses += ["valid"] if split == "val" else []
    names = dict.fromkeys(name for name in guesses if name)
    beside = inside(path.parent, root) if path.parent != root else ""
    places = ("images", *names, *(f"images/{name}" for name in names), beside, "")
    return tuple(dict.fromkeys(places))


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
    stated_hw = entry.size_hw
    if stated_hw is None or stated_hw == image.size_hw:
        return
    mend = "pair the files again"
    if image.is_turned and stated_hw == image.size_hw[::-1]:
        mend = "its EXIF turns it, the JSON is of the stored pixels: set the option exif to false"
    raise ValueError(
        f"{label_path}: says {entry.names[0]} is {stated_hw}, it is {image.size_hw} (h, w); {mend}"
    )


def _masks(
    label_path: AnyPath, entry: CocoImage, size_hw: tuple[int, int], *, known: Set[int]
) -> tuple[list[Coded], tuple[str, ...]]:
    return coded_annotations(
        read_annotations(label_path, entry), size_hw, category=partial(category_of, known=known)
    )
