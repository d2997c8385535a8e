"""COCO instances (Lin et al. 2014, arXiv:1405.0312), LVIS and all else annotated in their JSON.

Usual layout: `annotations/instances_SPLIT.json` beside `SPLIT/` or `images/`. Segmentations are
polygons, compressed or plain run lengths; crowds become masks to ignore. Ids, areas and boxes are
counted from the masks, not taken from the file.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import cast

from pycocotools import mask as coco

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import check_split, dataset_root, inside, safe_key
from maskspace.data.readers.coco_json import (
    MAX_JSON_BYTES,
    CocoImage,
    annotation_files,
    find_image,
    index_coco,
    read_annotations,
)
from maskspace.data.readers.coded_masks import run_length_string
from maskspace.data.readers.label_maps import read_file
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks.coded import decode_runs, encode_runs
from maskspace.masks.runs import Runs
from maskspace.types import Sample

#: The JSON of an image, its split, and its entry there.
Listed = tuple[AnyPath, str | None, CocoImage]
#: The JSON and the entry of an image -> its masks.
Masks = Callable[[AnyPath, CocoImage], list[Coded]]

SPLITS = ("train", "val", "test")
JSON_FILES = (
    "annotations/instances*.json",
    "annotations/lvis*.json",
    "annotations/*.json",
    "*.json",
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
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return the images of one or more COCO JSON files in their order, those of `split` if given.

    `annotations` names the JSON and `images` the folder of the images, both relative to `root`; by
    default they are looked for where COCO and LVIS have them. The split is what the JSON's name
    says. Images without an annotation are left out unless `unannotated`; segmentations that cover
    no pixel always are. A JSON above `max_json_bytes` is refused.
    """
    check_split("coco", split, SPLITS)
    folder = dataset_root(root)
    listed = [
        (path, own, image)
        for path, own in annotation_files(folder, JSON_FILES, given=annotations, split=split)
        for image in index_coco(path, max_bytes=max_json_bytes)
        if image.spans or unannotated
    ][:limit]
    if not listed:
        raise ValueError(f"{root}: no image with an annotation; set unannotated to keep the others")
    return coco_source(_masks, folder, listed, images, dataset="coco", containment=containment)


def coco_source(
    masks: Masks,
    root: AnyPath,
    listed: list[Listed],
    images: str | None,
    *,
    dataset: str,
    containment: float,
    licence: str = "{}",
) -> Source:
    """Return the source of listed images, in their order; `masks` reads those of one.

    `images` is the folder that was given; `licence` has the image's put in.
    """
    folders = image_folders(images, [path.stem for path, _, _ in listed])
    find_image(listed[0][2], root, folders)  # a wrong root is known before the first shard
    return Source(
        keys=tuple(safe_key(image.names[0].rsplit(".", 1)[0]) for _, _, image in listed),
        splits=tuple(own for _, own, _ in listed),
        read=partial(
            _sample,
            masks=masks,
            root=root,
            listed=tuple(listed),
            folders=folders,
            dataset=dataset,
            containment=containment,
            licence=licence,
        ),
    )


def image_folders(given: str | None, stems: list[str]) -> tuple[str, ...]:
    """Return where images may be: `given` alone, or COCO's usual folders for JSON of these names.

    `instances_val2017` has them in `val2017`, `images/val2017`, `images` or the root itself.
    """
    if given is not None:
        return (given,)
    splits = list(dict.fromkeys(stem.split("_", 1)[-1] for stem in stems))
    return ("images", *splits, *(f"images/{name}" for name in splits), "")


def _sample(
    index: int,
    *,
    masks: Masks,
    root: AnyPath,
    listed: tuple[Listed, ...],
    folders: tuple[str, ...],
    dataset: str,
    containment: float,
    licence: str,
) -> Sample:
    label_path, split, entry = listed[index]
    path = find_image(entry, root, folders)
    encoded = read_file(path)
    size_hw = image_size_hw(encoded, name=str(path))
    if size_hw != entry.size_hw:
        raise ValueError(
            f"{label_path}: says {entry.names[0]} is {entry.size_hw}, it is {size_hw} (h, w); "
            "pair the files again"
        )
    coded = masks(label_path, entry)
    try:
        annotations = annotate_coded(coded, size_hw, containment=containment)
    except ValueError as error:
        raise ValueError(f"{label_path}: {entry.names[0]}: {error}") from None
    return Sample(
        key=safe_key(entry.names[0].rsplit(".", 1)[0]),
        dataset=dataset,
        image=encoded,
        extension=path.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=annotations,
        split=split,
        licence=licence.format(entry.licence),
        source=inside(path, root),
    )


def _masks(label_path: AnyPath, entry: CocoImage) -> list[Coded]:
    try:
        return parse_annotations(read_annotations(label_path, entry), entry.size_hw)
    except ValueError as error:
        raise ValueError(f"{label_path}: {entry.names[0]}: {error}") from None


def parse_annotations(records: list[Mapping], size_hw: tuple[int, int]) -> list[Coded]:
    """Return the masks of COCO annotations; those that cover no pixel are left out.

    A crowd, or one with `ignore`, is a mask to ignore; `score` counts where there is one.
    """
    counts = []
    for record in records:
        with _named(record):
            counts.append(_counts(record.get("segmentation"), size_hw))
    runs = _runs(records, counts, size_hw)
    return [
        Coded(
            counts=string,
            score=_score(record),
            ignore=bool(record.get("iscrowd") or record.get("ignore")),
        )
        for record, string, area in zip(
            records, encode_runs(runs, size_hw), runs.areas(), strict=True
        )
        if area > 0
    ]


def _runs(records: list[Mapping], counts: list[str], size_hw: tuple[int, int]) -> Runs:
    """Return the runs of all masks; ValueError that names the annotation that does not fit."""
    try:
        return decode_runs(counts, size_hw)
    except ValueError:
        for record, string in zip(records, counts, strict=True):
            with _named(record):
                decode_runs([string], size_hw)
        raise


@contextmanager
def _named(record: Mapping) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        reason = str(error).removeprefix("mask 0: ")
        raise ValueError(f"annotation {record.get('id')}: {reason}") from None


def _counts(segmentation: object, size_hw: tuple[int, int]) -> str:
    if not isinstance(segmentation, list):
        return run_length_string(segmentation, size_hw)
    if not segmentation:
        raise ValueError("has neither polygons nor run lengths; a box alone is no mask")
    polygons = [_polygon(one, size_hw) for one in segmentation]
    rles = coco.frPyObjects(polygons, *size_hw)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return cast("dict[str, bytes]", coco.merge(rles))["counts"].decode("ascii")


def _polygon(points: object, size_hw: tuple[int, int]) -> list[float]:
    """Return x0, y0, x1, y1, … that stay within one image side of the image.

    pycocotools takes memory by the length of the outline, whatever the image's size.
    """
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise ValueError("a polygon is a list x0, y0, x1, y1, … of at least three points")
    far = max(size_hw)
    for value in points:
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ValueError(f"a polygon holds {value!r}, which is no number")
        if not -far <= value <= 2 * far:
            raise ValueError(f"a polygon reaches {value:g}, far outside of the image")
    return [float(value) for value in points]


def _score(record: Mapping) -> float:
    value = record.get("score", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"annotation {record.get('id')}: score {value!r} is not in [0, 1]")
    return float(value)
