"""SA-1B (Kirillov et al. 2023, arXiv:2304.02643) as published: `sa_N.jpg` beside `sa_N.json`.

The files are read inside the tars that they come in, by offset, or from unpacked folders. The JSON
holds `image` (image_id, width, height, file_name) and `annotations`, each with a COCO run-length
`segmentation`, `area`, `bbox` and `predicted_iou`. SA-1B's boxes have inclusive corners: their
width and height are one less than ours, which are counted from the masks.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import source_image
from maskspace.data.listings import dataset_root
from maskspace.data.readers.coded_masks import MAX_MASKS
from maskspace.data.readers.json_values import number_of, whole_of
from maskspace.data.readers.sa1b_files import PairedFiles, paired_files
from maskspace.data.readers.segmentations import coded_annotations, require_some
from maskspace.data.source import Repeated, Source
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
    exif: bool = True,
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image, tar by tar by name, and by number in each tar.

    Only the headers of the tars are read at first. The score of a mask is its `predicted_iou`,
    limited to [0, 1]. Annotations without a mask that fits the image, and those whose area or box
    is not that of the mask, are left out and counted.

    Args:
        root: one tar, a folder with tars, or, if it has no tars, a folder with the files in it or
            in its folders; a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        exif: True turns each image as its EXIF says (default); False where the annotations are of
            the pixels as they are stored.
        max_json_bytes: a JSON of more bytes is refused (default 16 000 000).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError that names the tar and its member for an image without its JSON, for a JSON
    that is too large or of another image, and for one of which no annotation is left.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (2, 2)).save(root / "sa_1.jpg")
        >>> mask = {"size": [2, 2], "counts": "04"}  # all four pixels, in COCO's run-length coding
        >>> annotation = {"segmentation": mask, "area": 4, "predicted_iou": 0.9}
        >>> image = {"image_id": 1, "width": 2, "height": 2, "file_name": "sa_1.jpg"}
        >>> record = {"image": image, "annotations": [annotation]}
        >>> _ = root.joinpath("sa_1.json").write_text(json.dumps(record))
        >>> source = read_sa1b(str(root), seed=0, limit=None)
        >>> list(source.keys)
        ['sa_1']
        >>> [(one.area, one.score) for one in source[0].annotations]
        [(4, 0.9)]
    """
    files = paired_files(dataset_root(root), limit=limit)
    return Source(
        keys=files.keys(),
        splits=Repeated(None, len(files)),
        read=partial(
            _sample,
            files=files,
            max_bytes=max_json_bytes,
            containment=containment,
            exif=exif,
        ),
        image_place=files.image_place if exif else None,
    )


def _sample(
    index: int, *, files: PairedFiles, max_bytes: int, containment: float, exif: bool
) -> Sample:
    pair = files[index]
    suffix = PurePosixPath(pair.image.name).suffix
    image = source_image(pair.image.read(), suffix, name=pair.image.place, exif=exif)
    text = pair.label.read(limit=max_bytes)
    coded, left_out = parse_sa1b(text, image.size_hw, place=pair.label.place)
    require_some(coded, left_out, place=pair.label.place)
    try:
        annotations = annotate_coded(coded, image.size_hw, containment=containment)
    except ValueError as error:
        raise ValueError(f"{pair.label.place}: {error}") from None
    return Sample(
        key=pair.key,
        dataset="sa1b",
        image=image.encoded,
        extension=image.extension,
        size_hw=image.size_hw,
        annotations=annotations,
        licence=LICENCE,
        source=pair.source,
        left_out=left_out,
    )


def parse_sa1b(
    text: bytes, size_hw: tuple[int, int], *, place: str
) -> tuple[list[Coded], tuple[str, ...]]:
    """Return the masks of one SA-1B JSON with their scores, and a line for each one left out.

    Left out is an annotation without a mask that fits the image, or whose area or box is not that
    of the mask.

    Args:
        text: the bytes of the JSON.
        size_hw: rows and columns of the image.
        place: the name of the JSON in errors.

    Raises ValueError that starts with `place` for what is not SA-1B's JSON or of another size.

    Example:
        >>> mask = {"size": [2, 2], "counts": "04"}
        >>> record = {
        ...     "image": {"image_id": 1, "width": 2, "height": 2, "file_name": "sa_1.jpg"},
        ...     "annotations": [{"segmentation": mask, "area": 4, "predicted_iou": 0.9}, {}],
        ... }
        >>> coded, left_out = parse_sa1b(json.dumps(record).encode(), (2, 2), place="sa_1.json")
        >>> [one.score for one in coded], left_out
        ([0.9], ('annotation 2: no segmentation (a box alone is no mask)',))
    """
    record = _record(text, place)
    _check_size(record["image"], size_hw, place)
    annotations = record["annotations"] or ()
    if len(annotations) > MAX_MASKS:
        raise ValueError(
            f"{place}: {len(annotations)} masks of one image; the limit is {MAX_MASKS}"
        )
    return coded_annotations(
        annotations, size_hw, first=1, score=_predicted_iou, check=_check_measures
    )


def _record(text: bytes, place: str) -> dict:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{place}: not JSON ({error}); fetch the file again") from None
    except RecursionError:
        raise ValueError(f"{place}: {_NOT_SA1B}: it nests too deep; fetch the file again") from None
    if not isinstance(record, dict) or not isinstance(record.get("image"), dict):
        raise ValueError(f"{place}: {_NOT_SA1B}: no object `image`; check the dataset's kind")
    if not isinstance(record.get("annotations", 0), list | None):
        raise ValueError(f"{place}: {_NOT_SA1B}: no list `annotations`; check the dataset's kind")
    return record


def _check_size(image: Mapping, size_hw: tuple[int, int], place: str) -> None:
    """Raise ValueError where the JSON states another size than the image has; it may state none."""
    try:
        stated = tuple(whole_of(image.get(side), what=side) for side in ("height", "width"))
    except ValueError as error:
        raise ValueError(f"{place}: {_NOT_SA1B}: image: {error}; correct it") from None
    height, width = (
        stated_side or actual for stated_side, actual in zip(stated, size_hw, strict=True)
    )
    if (height, width) == size_hw:
        return
    advice = "pair the files again"
    if (width, height) == size_hw:
        advice += ", or set the option exif to false if EXIF turns it"
    raise ValueError(
        f"{place}: says {height} x {width} (h x w), its image is {size_hw[0]} x {size_hw[1]}; "
        f"{advice}"
    )


def _predicted_iou(annotation: Mapping) -> float:
    """Return the score of an annotation, limited to [0, 1]; 1 where it states none."""
    stated = number_of(annotation.get("predicted_iou"), what="predicted_iou")
    return 1.0 if stated is None else min(max(stated, 0.0), 1.0)


def _check_measures(annotation: Mapping, area: int, box_xywh: list[int]) -> None:
    """Raise ValueError for another area than the mask's, or a box more than a pixel off.

    Conventions of boxes differ by a pixel. What the annotation does not state is not compared.
    """
    stated_area = number_of(annotation.get("area"), what="area")
    if stated_area is not None and stated_area != area:
        raise ValueError(f"area says {stated_area:g}, its mask has {area} pixels")
    stated_box = _box(annotation.get("bbox"))
    if stated_box is None or not area:
        return
    box_there = np.array(box_from_sa1b(stated_box), np.int64)
    if (np.abs(box_there - np.array(box_xywh)) > 1).any():
        box = ", ".join(f"{one:g}" for one in stated_box)
        raise ValueError(f"bbox says [{box}], its mask covers {box_xywh} (x, y, columns, rows)")


def _box(stated: object) -> list[float] | None:
    if stated is None or stated == []:
        return None
    try:
        box = [number_of(one, what="bbox") for one in stated] if isinstance(stated, list) else []
    except ValueError:
        box = []
    if len(box) != 4 or not all(one is not None and abs(one) < 2**31 for one in box):
        raise ValueError("`bbox` is not x, y, w, h")
    return [one for one in box if one is not None]


def box_from_sa1b(bbox: Sequence[float | int]) -> tuple[int, int, int, int]:
    """Return SA-1B's box as x, y and the numbers of columns and rows that it covers.

    SA-1B's width and height are between inclusive corners: one less.

    Example:
        >>> box_from_sa1b([0, 0, 1, 1])
        (0, 0, 2, 2)
    """
    x, y, width, height = (round(value) for value in bbox)
    return x, y, width + 1, height + 1
