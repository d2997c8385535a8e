"""The worst records of each broken expectation as one picture: the image, the mask outlined."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskspace.data.expectations.report import Outcome, Report, Where
from maskspace.data.manifest import read_manifest, shards_folder
from maskspace.data.open_shards import images_root
from maskspace.data.records import read_sample, sample_places
from maskspace.files import AnyPath
from maskspace.masks import decode
from maskspace.pictures import contact_sheet, fit_image, fit_labels, paint_labels, save_image
from maskspace.types import Annotation, Sample, read_rgb

#: Records shown of each expectation, expectations shown, and the longer side of a picture.
SHOWN, ROWS, SIDE = 5, 24, 160


def write_sample_gallery(path: Path, folder: str | AnyPath, report: Report) -> None:
    """Write a PNG with a row for each broken expectation, errors first.

    What cannot be drawn, for its image or its run lengths are what is broken, is a grey square.
    """
    manifest = read_manifest(folder)
    shards, images = shards_folder(folder, manifest), images_root(manifest)
    broken = [*report.broken, *report.warnings]
    rows = [
        (o, [w for w in o.worst if w.position >= 0][:SHOWN]) for o in broken if o.table != "shards"
    ][:ROWS]
    cells = [
        [_picture(shards / report.shards[w.shard], w, images) for w in worst] for _, worst in rows
    ]
    names = [f"{outcome.severity}: {outcome.name}" for outcome, _ in rows]
    titles = _titles(report, rows)
    save_image(path, contact_sheet(cells, titles=titles, names=names, side=SIDE))


def _titles(report: Report, rows: Sequence[tuple[Outcome, Sequence[Where]]]) -> list[str]:
    if not rows:
        return [f"{report.dataset}: nothing to show, {len(report.outcomes)} expectations"]
    most = max(len(worst) for _, worst in rows)
    return [f"{report.dataset}, number {number}" for number in range(1, most + 1)]


def _picture(shard: AnyPath, where: Where, images: AnyPath | None) -> UInt8[np.ndarray, "r s 3"]:
    try:
        sample = read_sample(shard, *sample_places(shard)[where.position], images=images)
        image = fit_image(read_rgb(sample.image), SIDE)
    except (OSError, ValueError):
        return np.full((SIDE, SIDE, 3), 160, np.uint8)
    for annotation in sample.annotations:
        if annotation.id == where.mask:
            return _with_mask(image, sample, annotation)
    return image


def _with_mask(
    image: UInt8[np.ndarray, "r s 3"], sample: Sample, annotation: Annotation
) -> UInt8[np.ndarray, "r s 3"]:
    """Return the image with one mask in colour, or with a cross where it cannot be decoded."""
    try:
        mask = decode([annotation.counts], sample.size_hw)[0]
    except ValueError:
        crossed = image.copy()
        steps = np.arange(max(image.shape[:2]))
        rows, columns = (steps * side // len(steps) for side in image.shape[:2])
        crossed[rows, columns] = crossed[rows, image.shape[1] - 1 - columns] = (176, 0, 32)
        return crossed
    labels = fit_labels(mask.astype(np.int64), SIDE)
    if labels.shape != image.shape[:2]:
        height, width = labels.shape
        image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
    return paint_labels(image, labels)
