"""COCO panoptic (Kirillov et al. 2019, arXiv:1801.00868): things and stuff that never overlap.

Layout: `annotations/panoptic_SPLIT.json` beside the folder `panoptic_SPLIT/` of PNGs. The segment
of a pixel is R + 256 G + 65536 B; 0 is void. The images are where COCO has them.
"""

from collections.abc import Mapping, Set
from functools import partial
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, Coded
from maskspace.data.listings import check_split, dataset_root
from maskspace.data.readers.coco import SPLITS, Layout, coco_source
from maskspace.data.readers.coco_json import (
    MAX_JSON_BYTES,
    CocoImage,
    annotation_files,
    category_of,
    index_json,
    merged_categories,
    read_annotations,
    split_notes,
)
from maskspace.data.readers.json_values import flag_of, number_of, whole_of
from maskspace.data.readers.label_maps import read_label_map
from maskspace.data.readers.segmentations import require_some
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks.coded import encode_runs
from maskspace.masks.runs import label_map_runs
from maskspace.rgb import White

JSON_FILES = ("annotations/panoptic*.json", "panoptic*.json")


def read_coco_panoptic(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
    exif: bool = True,
    white: White | None = None,
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image of one or more panoptic JSON files, in their order.

    Each listed segment is a mask. Void pixels are in no mask, and crowds are masks to ignore. Left
    out and counted are segments that only the PNG or only the JSON has, and those with another area
    in the JSON than in the PNG.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test" (default None: all three).
        annotations: path of one JSON relative to `root` (default None: `annotations/panoptic*.json`
            or `panoptic*.json`).
        images: folder of the images relative to `root` (default None: COCO's usual folders, see
            `image_folders`; the images of a split are never looked for in the folder of another
            split).
        exif: True turns each image as its EXIF says (default); False where the annotations are of
            the pixels as they are stored.
        white: the value of white in images of more than 8 bits: a number, "minmax" or "percentile"
            (default None: what the file says, see `read_rgb`).
        max_json_bytes: a JSON file of more bytes is refused (default 2 000 000 000).
        containment: as in `read_coco`; it has no effect, since the masks do not overlap.

    Raises ValueError in one line that names the file: no JSON, or none with an annotated image.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (8, 6)).save(root / "a.jpg")
        >>> root.joinpath("panoptic_val").mkdir()
        >>> Image.new("RGB", (8, 6), (7, 0, 0)).save(root / "panoptic_val" / "a.png")  # segment 7
        >>> coco = {
        ...     "images": [{"id": 1, "file_name": "a.jpg"}],
        ...     "annotations": [{"image_id": 1, "segments_info": [{"id": 7, "category_id": 3}]}],
        ...     "categories": [{"id": 3, "name": "sky", "isthing": 0}],
        ... }
        >>> _ = root.joinpath("panoptic_val.json").write_text(json.dumps(coco))
        >>> source = read_coco_panoptic(str(root), seed=0, limit=None)
        >>> source.keys, source.splits, source.categories[0].is_thing
        (('a',), ('val',), False)
        >>> [(one.area, one.category) for one in source[0].annotations]
        [(48, 3)]
    """
    check_split("coco_panoptic", split, SPLITS)
    folder = dataset_root(root)
    files = annotation_files(folder, JSON_FILES, given=annotations, split=split)
    indexed = [
        (path, file_split, index_json(path, max_bytes=max_json_bytes)) for path, file_split in files
    ]
    listed = [
        (path, file_split, image)
        for path, file_split, index in indexed
        for image in index.images
        if image.spans
    ]
    if not listed:
        raise ValueError(f"{root}: its panoptic JSON annotates no image; correct the root")
    layout = Layout(
        images=images,
        dataset="coco_panoptic",
        containment=containment,
        exif=exif,
        white=white,
        licence="annotations CC BY 4.0; image {}",
    )
    notes = tuple(note for path, _, index in indexed for note in index.notes(path.name))
    categories = merged_categories((str(path), index.categories) for path, _, index in indexed)
    return coco_source(
        partial(_masks, known=frozenset(category.id for category in categories)),
        folder,
        listed,
        layout,
        limit=limit,
        notes=split_notes(files) + notes,
        categories=categories,
    )


def _masks(
    label_path: AnyPath, entry: CocoImage, size_hw: tuple[int, int], *, known: Set[int]
) -> tuple[list[Coded], tuple[str, ...]]:
    record, *others = read_annotations(label_path, entry)
    if others:
        raise ValueError(f"{label_path}: {entry.names[0]} has several annotations; keep one")
    png = label_path.with_suffix("") / _png_name(record, entry, label_path)
    labels = read_label_map(png, size_hw, coding="colour")
    return _segments(labels, record, place=str(png), known=known)


def _png_name(record: Mapping, entry: CocoImage, label_path: AnyPath) -> str:
    name = record.get("file_name") or f"{PurePosixPath(entry.names[0]).stem}.png"
    if not isinstance(name, str) or "/" in name or "\\" in name:
        raise ValueError(f"{label_path}: {name!r:.80} is not the name of a PNG in its folder")
    return name


def _segments(
    labels: Int64[np.ndarray, "h w"], record: Mapping, *, place: str, known: Set[int]
) -> tuple[list[Coded], tuple[str, ...]]:
    """Return the masks in the order of `segments_info`, and a line for each segment left out."""
    size_hw = (labels.shape[0], labels.shape[1])
    ids, runs = label_map_runs(labels)
    masks = zip(encode_runs(runs, size_hw), runs.areas().tolist(), strict=True)
    by_id = dict(zip(ids.tolist(), masks, strict=True))
    segments = record.get("segments_info")
    if not isinstance(segments, list):
        raise ValueError(f"{place}: its annotation has no list `segments_info`; not panoptic JSON")
    coded: list[Coded] = []
    left_out: list[str] = []
    seen: set[int] = set()
    for segment in segments:
        try:
            identity, ignore = _segment(segment, by_id, seen)
            category = category_of(segment, known)
            coded.append(Coded(counts=by_id[identity][0], ignore=ignore, category=category))
        except ValueError as error:
            left_out.append(str(error))
    left_out += [
        f"segment {missing_id} is not in its segments_info"
        for missing_id in sorted(by_id.keys() - seen)
    ]
    require_some(coded, left_out, place=place)
    return coded, tuple(left_out)


def _segment(
    segment: object, by_id: Mapping[int, tuple[str, int]], seen: set[int]
) -> tuple[int, bool]:
    """Return the id and the crowd flag of a listed segment, and add the id to `seen`.

    Raises ValueError for a segment that the PNG does not have, or has with another area.
    """
    if not isinstance(segment, Mapping):
        raise ValueError("a segment is no object")
    identity = whole_of(segment.get("id"), what="id")
    if identity is None:
        raise ValueError("a segment without `id`")
    if identity in seen:
        raise ValueError(f"segment {identity} is listed twice")
    seen.add(identity)
    if identity not in by_id:
        raise ValueError(f"segment {identity} has no pixel")
    area = number_of(segment.get("area"), what="area")
    if area is not None and area != by_id[identity][1]:
        raise ValueError(
            f"segment {identity} has {by_id[identity][1]} pixels, its area says {area:g}"
        )
    return identity, flag_of(segment.get("iscrowd"), what="iscrowd")
