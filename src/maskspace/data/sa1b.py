"""SA-1B (Kirillov et al. 2023, arXiv:2304.02643) as published: `sa_N.jpg` beside `sa_N.json`.

The files are read inside the tars they come in, by offset, or from an unpacked folder. The JSON
holds `image` (image_id, width, height, file_name) and `annotations`, each with a COCO run-length
`segmentation`, `area`, `bbox` and `predicted_iou`. SA-1B's boxes are made of inclusive corners, so
their w and h are one less than ours, which are counted from the masks.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool

from maskspace.data.annotations import CONTAINMENT, annotate
from maskspace.data.images import image_size_hw
from maskspace.data.source import Source
from maskspace.data.tars import Member, members, read_member
from maskspace.masks import areas, decode
from maskspace.types import Sample

_NOT_SA1B = "not SA-1B's JSON"


@dataclass(frozen=True)
class _File:
    """A file, in a tar or on its own (then `member` is None)."""

    path: Path
    member: Member | None

    @property
    def name(self) -> PurePosixPath:
        return PurePosixPath(self.member.name if self.member else self.path.name)

    @property
    def place(self) -> str:
        return f"{self.path}:{self.member.name}" if self.member else str(self.path)

    def read(self) -> bytes:
        return read_member(self.path, self.member) if self.member else self.path.read_bytes()


def read_sa1b(
    root: str, *, seed: int, limit: int | None, containment: float = CONTAINMENT
) -> Source:
    """Return the images of the tars in `root`, or of the folder itself if it has no tars.

    `root` may also be a single tar. A mask's score is its `predicted_iou`, cut to [0, 1]. Raises
    ValueError that names the tar and its member for whatever is not as SA-1B publishes it.
    """
    pairs = _pairs(Path(root))[:limit]
    keys = tuple(re.sub(r"[^A-Za-z0-9_-]", "-", image.name.stem) for image, _ in pairs)
    read = partial(_sample, keys=keys, pairs=pairs, containment=containment)
    return Source(keys=keys, splits=(None,) * len(keys), read=read)


def _pairs(root: Path) -> list[tuple[_File, _File]]:
    """Return every image with its JSON, tar by tar, in the order of their names in each."""
    if not root.exists():
        raise ValueError(f"{root}: no such folder or tar; `dvc pull`, or correct the root")
    tars = [root] if root.is_file() else sorted(root.glob("*.tar"))
    groups = [[_File(tar, member) for member in members(tar)] for tar in tars]
    if not tars:
        groups = [[_File(path, None) for path in root.iterdir() if path.is_file()]]
    pairs = [pair for group in groups for pair in _pair_up(group)]
    if not pairs:
        raise ValueError(f"{root}: no sa_N.jpg with sa_N.json in it; correct the root")
    return pairs


def _pair_up(files: list[_File]) -> list[tuple[_File, _File]]:
    by_suffix = {
        suffix: {file.name.with_suffix(""): file for file in files if file.name.suffix == suffix}
        for suffix in (".jpg", ".json")
    }
    images, labels = by_suffix[".jpg"], by_suffix[".json"]
    for stem in sorted(images.keys() ^ labels.keys()):
        lone = images.get(stem) or labels[stem]
        missing = ".json" if stem in images else ".jpg"
        raise ValueError(f"{lone.place}: its {missing} is missing; fetch the archive again")
    return [(images[stem], labels[stem]) for stem in sorted(images, key=_natural)]


def _natural(stem: PurePosixPath) -> tuple[int, str]:
    """Return what sorts sa_9 before sa_10."""
    digits = re.findall(r"\d+", stem.name)
    return (int(digits[-1]) if digits else -1, str(stem))


def _sample(
    index: int,
    *,
    keys: tuple[str, ...],
    pairs: list[tuple[_File, _File]],
    containment: float,
) -> Sample:
    image_file, label_file = pairs[index]
    image = image_file.read()
    size_hw = image_size_hw(image, name=image_file.place)
    masks, scores = parse_sa1b(label_file.read(), size_hw, place=label_file.place)
    try:
        annotations = annotate(masks, scores=scores, containment=containment)
    except ValueError as error:
        raise ValueError(f"{label_file.place}: {error}") from None
    return Sample(
        key=keys[index],
        dataset="sa1b",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotations,
        licence="SA-1B Dataset Research License",
        source=f"{image_file.path.name}:{image_file.name}"
        if image_file.member
        else image_file.path.name,
    )


def parse_sa1b(
    text: bytes, size_hw: tuple[int, int], *, place: str
) -> tuple[Bool[np.ndarray, "n h w"], list[float]]:
    """Return the masks and scores of one SA-1B JSON; `place` names it in errors."""
    record = _record(text, place)
    width, height = (_number(record["image"], key, place, "image") for key in ("width", "height"))
    if (height, width) != size_hw:
        raise ValueError(
            f"{place}: says {height:g} x {width:g} (h x w), its image is {size_hw[0]} x "
            f"{size_hw[1]}; pair the files again"
        )
    counts, scores = [], []
    for number, annotation in enumerate(record["annotations"], start=1):
        counts.append(_counts(annotation, size_hw, place, number))
        score = _number(annotation, "predicted_iou", place, f"annotation {number}")
        scores.append(min(max(score, 0.0), 1.0))
    masks = _decode(counts, size_hw, place)
    said = [
        _number(a, "area", place, f"annotation {i}") for i, a in enumerate(record["annotations"], 1)
    ]
    for number in np.flatnonzero(areas(masks) != np.array(said)) + 1:
        raise ValueError(
            f"{place}: annotation {number}: area says {said[number - 1]:g}, its mask has "
            f"{areas(masks)[number - 1]} pixels; fetch the file again"
        )
    return masks, scores


def _record(text: bytes, place: str) -> dict:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{place}: not JSON ({error}); fetch the file again") from None
    if not isinstance(record, dict) or not isinstance(record.get("image"), dict):
        raise ValueError(f"{place}: {_NOT_SA1B}: no object `image`; check the dataset's kind")
    if not isinstance(record.get("annotations"), list):
        raise ValueError(f"{place}: {_NOT_SA1B}: no list `annotations`; check the dataset's kind")
    return record


def _number(record: object, key: str, place: str, inside: str) -> float:
    value = record.get(key) if isinstance(record, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{place}: {_NOT_SA1B}: {inside} has no number `{key}`; add it")
    return float(value)


def _counts(annotation: object, size_hw: tuple[int, int], place: str, number: int) -> str:
    coded = annotation.get("segmentation") if isinstance(annotation, Mapping) else None
    if not isinstance(coded, Mapping) or not isinstance(coded.get("counts"), str):
        raise ValueError(
            f"{place}: {_NOT_SA1B}: annotation {number} has no run-length `segmentation` "
            "{size, counts}; convert it"
        )
    if coded.get("size") != list(size_hw):
        raise ValueError(
            f"{place}: annotation {number}: its mask is {coded.get('size')}, the image is "
            f"{list(size_hw)} (h, w); pair the files again"
        )
    return coded["counts"]


def _decode(counts: list[str], size_hw: tuple[int, int], place: str) -> Bool[np.ndarray, "n h w"]:
    for number, string in enumerate(counts, start=1):
        try:
            decode([string], size_hw)
        except ValueError as error:
            reason = str(error).removeprefix("mask 0: ")
            raise ValueError(
                f"{place}: annotation {number}: {reason}; fetch the file again"
            ) from None
    return decode(counts, size_hw)


def box_from_sa1b(bbox: list[float]) -> tuple[int, int, int, int]:
    """Return SA-1B's box (inclusive corners) as x, y and the columns and rows that it covers."""
    x, y, width, height = (round(value) for value in bbox)
    return x, y, width + 1, height + 1
