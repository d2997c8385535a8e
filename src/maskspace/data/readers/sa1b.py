"""SA-1B (Kirillov et al. 2023, arXiv:2304.02643) as published: `sa_N.jpg` beside `sa_N.json`.

The files are read inside the tars they come in, by offset, or from unpacked folders. The JSON holds
`image` (image_id, width, height, file_name) and `annotations`, each with a COCO run-length
`segmentation`, `area`, `bbox` and `predicted_iou`. SA-1B's boxes are made of inclusive corners, so
their w and h are one less than ours, which are counted from the masks.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import dataset_root
from maskspace.data.readers.coded_masks import runs_of_objects
from maskspace.data.readers.sa1b_files import PairedFiles, paired_files
from maskspace.data.source import Repeated, Source
from maskspace.masks.coded import encode_runs
from maskspace.masks.runs import boxes_of_runs
from maskspace.types import Sample

LICENCE = "SA-1B Dataset Research License"

#: The largest JSON of an image that is read by default; a hundred masks take some hundred kB.
MAX_JSON_BYTES = 16_000_000

_NOT_SA1B = "not SA-1B's JSON"


def read_sa1b(
    root: str,
    *,
    seed: int,
    limit: int | None,
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return the images of the tars in `root`, or of the folder and its folders if it has no tars.

    `root` may also be a single tar. They come tar by tar, by name and by number in each; only the
    headers of the tars are read. A mask's score is its `predicted_iou`, cut to [0, 1]. Raises
    ValueError that names the tar and its member for whatever is not as SA-1B publishes it: an image
    without its JSON, a JSON above `max_json_bytes`, run lengths that do not fit, and areas or boxes
    that are not those of the mask.
    """
    files = paired_files(dataset_root(root), limit=limit)
    return Source(
        keys=files.keys(),
        splits=Repeated(None, len(files)),
        read=partial(_sample, files=files, max_bytes=max_json_bytes, containment=containment),
        image_place=files.image_place,
    )


def _sample(index: int, *, files: PairedFiles, max_bytes: int, containment: float) -> Sample:
    pair = files[index]
    image = pair.image.read()
    size_hw = image_size_hw(image, name=pair.image.place)
    coded = parse_sa1b(pair.label.read(limit=max_bytes), size_hw, place=pair.label.place)
    try:
        annotations = annotate_coded(coded, size_hw, containment=containment)
    except ValueError as error:
        raise ValueError(f"{pair.label.place}: {error}") from None
    return Sample(
        key=pair.key,
        dataset="sa1b",
        image=image,
        extension=PurePosixPath(pair.image.name).suffix[1:],
        size_hw=size_hw,
        annotations=annotations,
        licence=LICENCE,
        source=pair.source,
    )


def parse_sa1b(text: bytes, size_hw: tuple[int, int], *, place: str) -> list[Coded]:
    """Return the masks and scores of one SA-1B JSON; `place` names it in errors."""
    record = _record(text, place)
    width, height = (_number(record["image"], key, place, "image") for key in ("width", "height"))
    if (height, width) != size_hw:
        raise ValueError(
            f"{place}: says {height:g} x {width:g} (h x w), its image is {size_hw[0]} x "
            f"{size_hw[1]}; pair the files again"
        )
    said = record["annotations"]
    objects = [one.get("segmentation") if isinstance(one, Mapping) else None for one in said]
    try:
        runs = runs_of_objects(objects, size_hw, label="annotation", first=1)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    _check_areas(said, runs.areas().tolist(), place)
    _check_boxes(said, boxes_of_runs(runs, size_hw), place)
    scores = _numbers(said, "predicted_iou", place)
    return [
        Coded(counts=counts, score=min(max(score, 0.0), 1.0))
        for counts, score in zip(encode_runs(runs, size_hw), scores, strict=True)
    ]


def _record(text: bytes, place: str) -> dict:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{place}: not JSON ({error}); fetch the file again") from None
    except RecursionError:
        raise ValueError(f"{place}: {_NOT_SA1B}: it nests too deep; fetch the file again") from None
    if not isinstance(record, dict) or not isinstance(record.get("image"), dict):
        raise ValueError(f"{place}: {_NOT_SA1B}: no object `image`; check the dataset's kind")
    if not isinstance(record.get("annotations"), list):
        raise ValueError(f"{place}: {_NOT_SA1B}: no list `annotations`; check the dataset's kind")
    return record


def _number(record: object, key: str, place: str, inside: str) -> float:
    value = record.get(key) if isinstance(record, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise ValueError(f"{place}: {_NOT_SA1B}: {inside} has no number `{key}`; add it")
    return float(value)


def _numbers(said: Sequence[object], key: str, place: str) -> list[float]:
    return [_number(one, key, place, f"annotation {i}") for i, one in enumerate(said, start=1)]


def _check_areas(said: Sequence[object], areas: Sequence[int], place: str) -> None:
    areas_said = _numbers(said, "area", place)
    for number, (area, own) in enumerate(zip(areas, areas_said, strict=True), start=1):
        if own != area:
            raise ValueError(
                f"{place}: annotation {number}: area says {own:g}, its mask has {area} pixels; "
                "fetch the file again"
            )


def _check_boxes(said: Sequence[object], boxes: Int64[np.ndarray, "n 4"], place: str) -> None:
    """Require the masks' own boxes, up to the pixel by which conventions differ."""
    stated = [_box(one, place, number) for number, one in enumerate(said, start=1)]
    ours = np.array([box_from_sa1b(box) for box in stated], np.int64).reshape(-1, 4)
    wrong = (np.abs(ours - boxes) > 1).any(axis=1) & (boxes[:, 2] > 0)
    for index in np.flatnonzero(wrong).tolist():
        raise ValueError(
            f"{place}: annotation {index + 1}: bbox says {stated[index]}, its mask covers "
            f"{boxes[index].tolist()} (x, y, columns, rows); fetch the file again"
        )


def _box(annotation: object, place: str, number: int) -> list[float | int]:
    box = annotation.get("bbox") if isinstance(annotation, Mapping) else None
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ValueError(f"{place}: annotation {number}: `bbox` is not x, y, w, h; correct it")
    return box


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**31


def box_from_sa1b(bbox: Sequence[float | int]) -> tuple[int, int, int, int]:
    """Return SA-1B's box (inclusive corners) as x, y and the columns and rows that it covers."""
    x, y, width, height = (round(value) for value in bbox)
    return x, y, width + 1, height + 1
