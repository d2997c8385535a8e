"""COCO panoptic (Kirillov et al. 2019, arXiv:1801.00868): things and stuff that never overlap.

Layout: `annotations/panoptic_SPLIT.json` beside the folder `panoptic_SPLIT/` of PNGs, in which the
segment of a pixel is R + 256 G + 65536 B and 0 is void; the images are where COCO has them.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, Coded
from maskspace.data.listings import check_split, dataset_root
from maskspace.data.readers.coco import SPLITS, coco_source
from maskspace.data.readers.coco_json import (
    MAX_JSON_BYTES,
    CocoImage,
    annotation_files,
    index_coco,
    read_annotations,
)
from maskspace.data.readers.label_maps import read_label_map
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks.coded import encode_runs
from maskspace.masks.runs import label_map_runs

JSON_FILES = ("annotations/panoptic*.json", "panoptic*.json")


def read_coco_panoptic(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return the images of one or more panoptic JSON files in their order, of `split` if given.

    `annotations` names the JSON and `images` the folder of the images, both relative to `root`.
    Void is in no mask and crowds are masks to ignore. The segments of a PNG have to be those that
    the JSON lists, with their areas; disjoint masks do not nest.
    """
    check_split("coco_panoptic", split, SPLITS)
    folder = dataset_root(root)
    listed = [
        (path, own, image)
        for path, own in annotation_files(folder, JSON_FILES, given=annotations, split=split)
        for image in index_coco(path, max_bytes=max_json_bytes)
        if image.spans
    ][:limit]
    if not listed:
        raise ValueError(f"{root}: its panoptic JSON annotates no image; correct the root")
    return coco_source(
        _masks,
        folder,
        listed,
        images,
        dataset="coco_panoptic",
        containment=containment,
        licence="annotations CC BY 4.0; image {}",
    )


def _masks(label_path: AnyPath, entry: CocoImage) -> list[Coded]:
    if len(entry.spans) > 1:
        raise ValueError(f"{label_path}: {entry.names[0]} has several annotations; keep one")
    (record,) = read_annotations(label_path, entry)
    png = label_path.with_suffix("") / _png_name(record, label_path)
    return _segments(read_label_map(png, entry.size_hw, coding="colour"), record, place=str(png))


def _png_name(record: Mapping, label_path: AnyPath) -> str:
    name = record.get("file_name")
    if not isinstance(name, str) or not name or "/" in name or "\\" in name:
        raise ValueError(f"{label_path}: {name!r} is not the name of a PNG in its folder")
    return name


def _segments(labels: Int64[np.ndarray, "h w"], record: Mapping, *, place: str) -> list[Coded]:
    """Return the masks in the order of `segments_info`, checked against it."""
    size_hw = (labels.shape[0], labels.shape[1])
    ids, runs = label_map_runs(labels)
    masks = zip(encode_runs(runs, size_hw), runs.areas(), strict=True)
    found = dict(zip(ids.tolist(), masks, strict=True))
    said = _listed(record, place)
    for lone in sorted(found.keys() ^ {identity for identity, _, _ in said}):
        side = "is not in its segments_info" if lone in found else "has no pixel"
        raise ValueError(f"{place}: segment {lone} {side}; pair the PNG and the JSON again")
    for identity, area, _ in said:
        if found[identity][1] != area:
            raise ValueError(
                f"{place}: segment {identity} has {found[identity][1]} pixels, its area says "
                f"{area}; pair the PNG and the JSON again"
            )
    return [Coded(counts=found[identity][0], ignore=crowd) for identity, _, crowd in said]


def _listed(record: Mapping, place: str) -> list[tuple[int, int, bool]]:
    """Return id, area and crowd flag of each segment that the JSON lists."""
    segments = record.get("segments_info")
    if not isinstance(segments, list) or not all(isinstance(one, Mapping) for one in segments):
        raise ValueError(f"{place}: its annotation has no list `segments_info`; not panoptic JSON")
    said = [(one.get("id"), one.get("area"), bool(one.get("iscrowd"))) for one in segments]
    if not all(isinstance(i, int) and isinstance(area, int) for i, area, _ in said):
        raise ValueError(f"{place}: a segment without whole numbers `id` and `area`; add them")
    if len({i for i, _, _ in said}) < len(said):
        raise ValueError(f"{place}: a segment is listed twice; keep one")
    return said
