"""Small shards of every kind, clean or with planted faults, written byte by byte."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from maskspace.data.annotations import Coded, annotate_coded
from maskspace.data.expectations import ValidateConfig
from maskspace.data.manifest import ShardFacts, write_manifest
from maskspace.data.records import encode_record
from maskspace.masks import encode
from maskspace.types import Sample

SIZE = (48, 64)

CONFIG = ValidateConfig(
    min_masks=1,
    max_masks=200,
    min_area=2,
    min_side=16,
    max_side=512,
    max_record_bytes=1_000_000,
    max_depth=4,
    min_contrast=1.0,
    near_iou=0.95,
    near_bits=4,
    outlier_z=6.0,
    min_coverage={"bsds500": 0.9, "coco_panoptic": 0.8, "hypersim": 0.6, "mosaics": 1.0},
    severities={},
    quarantine=None,
    rows_per_check=50,
)


@dataclass
class Raw:
    """A record as it stands in a tar, to be tampered with; `json` is written in place of it."""

    key: str
    extension: str
    image: bytes
    record: dict[str, Any]
    json: bytes | None = None
    members: list[tuple[str, bytes]] = field(default_factory=list)


def picture(index: int, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    """A smooth random image, different for every index."""
    noise = np.random.default_rng(index).standard_normal((*size_hw, 3))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0))
    return np.clip(128 + 300 * smooth, 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, format_: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=format_)
    return buffer.getvalue()


def tiles(size_hw: tuple[int, int], rows: int, columns: int) -> np.ndarray:
    """The masks of a grid that covers everything."""
    height, width = size_hw
    of_row = np.arange(height) * rows // height
    of_column = np.arange(width) * columns // width
    labels = of_row[:, None] * columns + of_column
    return labels == np.arange(rows * columns)[:, None, None]


def block(top: int, left: int, height: int, width: int, size_hw: tuple[int, int] = SIZE) -> Any:
    mask = np.zeros(size_hw, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def masks_of(kind: str, index: int, size_hw: tuple[int, int]) -> list[tuple[np.ndarray, int]]:
    """The masks that a record of this kind has, with their layers."""
    if kind in ("davis_interactive", "grabcut", "hqseg44k"):
        return [(block(5, 6 + index % 8, 20, 30), 0)]
    if kind in ("coco", "coco_lvis", "folder", "sa1b", "sav", "scenes"):
        return [
            (block(4, 4 + index % 5, 30, 40), 0),
            (block(8, 10, 12, 20), 0),
            (block(10, 12, 5, 9), 0),
            (block(40, 40, 6, 9), 0),
        ]
    layers = [tiles(size_hw, 2, 2 + index % 3)]
    if kind == "bsds500":
        layers.append(tiles(size_hw, 3, 2))
    return [(mask, layer) for layer, found in enumerate(layers) for mask in found]


def sample_of(
    kind: str, index: int, *, key: str | None = None, size_hw: tuple[int, int] = SIZE
) -> Sample:
    """A clean record of a kind; of another size for kinds whose masks are a grid."""
    found = masks_of(kind, index, size_hw)
    coded = [
        Coded(counts=encode(mask[None])[0], layer=layer, score=0.9 + i / 100 if i < 10 else 1.0)
        for i, (mask, layer) in enumerate(found)
    ]
    jpeg = kind in ("sa1b", "hypersim", "bsds500")
    return Sample(
        key=key or f"{kind}-{index:04d}",
        dataset=kind,
        image=encoded(picture(index, size_hw), "JPEG" if jpeg else "PNG"),
        extension="jpg" if jpeg else "png",
        size_hw=size_hw,
        annotations=annotate_coded(coded, size_hw),
        licence="CC0-1.0",
        source=f"{kind}/{index}",
    )


def raw(sample: Sample) -> Raw:
    return Raw(sample.key, sample.extension, sample.image, json.loads(encode_record(sample)))


def with_image(one: Raw, image: bytes, extension: str | None = None) -> Raw:
    """The record with another image, its hash corrected."""
    record = {**one.record, "sha256": hashlib.sha256(image).hexdigest()}
    return replace(one, image=image, record=record, extension=extension or one.extension)


def write_tar(path: Path, records: Sequence[Raw]) -> ShardFacts:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for one in records:
            text = one.json if one.json is not None else json.dumps(one.record).encode()
            pairs = [(f"{one.key}.{one.extension}", one.image), (f"{one.key}.json", text)]
            for name, content in [*pairs, *one.members]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    content = path.read_bytes()
    masks = [one.record.get("annotations") for one in records if one.json is None]
    return ShardFacts(
        name=path.name,
        samples=len(records),
        masks=sum(len(found) for found in masks if isinstance(found, list)),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """What writes shards of raw records by split, and the manifest, and returns their folder."""
    return lambda kind, **splits: write_shards(tmp_path / kind, kind, **splits)


def write_shards(folder: Path, kind: str, **splits: Sequence[Raw]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    facts = [write_tar(folder / f"{s}-000000.tar", found) for s, found in splits.items() if found]
    reader = {"name": kind, "options": {}}
    write_manifest(folder, facts, dataset=kind, details={"containment": 0.95, "reader": reader})
    return folder
