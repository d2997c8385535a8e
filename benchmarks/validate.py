"""Validation against pycocotools decoding the same masks, in the same run.

    python -m benchmarks.validate [SHARDS ...]

Without a folder of shards, ones like SA-1B's are made: JPEGs of 1500 x 2250 pixels with some 100
nested masks. pycocotools is handed the strings and makes dense masks, record by record. Prints
masks/s of that; of all that is measured on the masks (run lengths, boxes, nesting, copies,
coverage); of inspecting whole records, which decodes, hashes and compares the images too; and of
Great Expectations on the columns; then what 11 million images of 100 masks would take.
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from scipy import ndimage

from maskspace.config import load_section
from maskspace.data.annotations import annotate
from maskspace.data.expectations import ValidateConfig
from maskspace.data.expectations.check import Checker
from maskspace.data.expectations.measures import measure
from maskspace.data.expectations.suites import suite
from maskspace.data.expectations.tables import Part, inspect
from maskspace.data.manifest import read_manifest, write_manifest
from maskspace.data.open_shards import open_shards
from maskspace.data.shards import write_shard
from maskspace.types import Sample

IMAGES, SIZE = 24, (1500, 2250)
ROWS = 200_000
SA1B = (11_000_000, 100)


def main(folders: Sequence[str]) -> None:
    """Print the table."""
    print("shards          records  masks   chars  pycocotools/s  measured/s  ratio  inspected/s")
    for folder in folders:
        compare(Path(folder))
    if not folders:
        with tempfile.TemporaryDirectory() as folder:
            compare(write_large(Path(folder)))
    expectations()


def write_large(folder: Path) -> Path:
    """Write shards of large photos of noise with blobs at three scales."""
    samples = []
    for index in range(IMAGES):
        rng = np.random.default_rng(index)
        coarse = ndimage.gaussian_filter(rng.standard_normal((SIZE[0] // 10, SIZE[1] // 10)), 4)
        field = ndimage.zoom(coarse, 10, order=1) + rng.standard_normal(SIZE) / 400
        masks = [_pieces(field > level) for level in np.quantile(field, (0.4, 0.6, 0.8))]
        image = ndimage.zoom(coarse, 10, order=1)[..., None] * 900 + rng.normal(128, 9, (*SIZE, 3))
        encoded = io.BytesIO()
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=90)
        samples.append(
            Sample(
                key=f"large-{index:06d}",
                dataset="large",
                image=encoded.getvalue(),
                extension="jpg",
                size_hw=SIZE,
                annotations=annotate(np.concatenate(masks)),
                licence="CC0-1.0",
                source=f"generated, seed {index}",
            )
        )
    facts = write_shard(folder / "train-000000.tar", samples)
    write_manifest(folder, [facts], dataset="large", details={"containment": 0.95})
    return folder


def _pieces(mask: np.ndarray) -> np.ndarray:
    """Return the larger components, with the fine edge that a threshold gives."""
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=labels)
    sizes = np.bincount(labels.ravel())
    large = [i for i in np.argsort(-sizes) if i and sizes[i] > 2000][:35]
    return np.stack([labels == i for i in large])


def compare(folder: Path) -> None:
    """Print one line: masks a second of each."""
    config = load_section(ValidateConfig, "validate")
    samples = list(open_shards(folder, "train"))
    number = sum(len(sample.annotations) for sample in samples)
    dense, measured = _alternating(
        lambda: [_decode(sample) for sample in samples],
        lambda: [
            measure(s.annotations, s.size_hw, near_iou=config.near_iou) for s in samples
        ],
    )  # fmt: skip
    look = partial(
        inspect,
        kind="large",
        datasets=("large",),
        images=None,
        near_iou=config.near_iou,
        max_bytes=config.max_record_bytes,
    )
    (inspected,) = _alternating(lambda: [look(part) for part in _parts(folder)])
    characters = sum(len(a.counts) for s in samples for a in s.annotations) / number
    print(
        f"{folder.name:14}  {len(samples):7d} {number:6d} {characters:7.0f} {number / dense:14.0f} "
        f"{number / measured:11.0f} {dense / measured:6.2f} {number / inspected:12.0f}"
    )
    hours = inspected / len(samples) * SA1B[0] / 3600
    print(f"  11 million such images: {hours:.0f} core hours")


def _parts(folder: Path) -> list[Part]:
    said = read_manifest(folder)["splits"]["train"]["shards"]
    return [
        Part(shard=i, path=folder / one["name"], split="train", first=0, last=-1)
        for i, one in enumerate(said)
    ]


def _decode(sample: Sample) -> int:
    """Return the pixels of all masks, made dense by pycocotools."""
    size = list(sample.size_hw)
    rles = [{"size": size, "counts": a.counts.encode()} for a in sample.annotations]
    return coco.decode(rles).size if rles else 0  # pyright: ignore[reportArgumentType]


def _alternating(*runs: Callable[[], object], repeats: int = 3) -> list[float]:
    """Return the best of the CPU seconds of each, taken in turns."""
    seconds = [[0.0] * repeats for _ in runs]
    for repeat in range(repeats):
        for taken, run in zip(seconds, runs, strict=True):
            start = time.process_time()
            run()
            taken[repeat] = time.process_time() - start
    return [min(taken) for taken in seconds]


def expectations() -> None:
    """Print masks a second of Great Expectations on a table of 200 000 masks."""
    config = load_section(ValidateConfig, "validate")
    chosen = suite("sa1b", {}, min_coverage={}, split_components=False)
    checker = Checker(chosen, {**vars(config), "containment": 0.95})
    columns = {
        name: np.ones(ROWS, np.int64 if name != "score" else np.float64)
        for one, _ in chosen.values()
        if one.table == "masks"
        for name in one.columns
    }
    columns |= {name: np.full(ROWS, -1) for name in ("copy_of", "near_copy_of")}
    (seconds,) = _alternating(lambda: list(checker.check("masks", columns)))
    hours = SA1B[0] * SA1B[1] / ROWS * seconds / 3600
    print(f"Great Expectations: {ROWS / seconds:.0f} masks/s, {hours:.1f} hours for 1.1 billion")


if __name__ == "__main__":
    main(sys.argv[1:])
