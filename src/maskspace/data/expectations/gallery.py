"""The worst records of each broken expectation as one picture, their masks in colour."""

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

#: Records shown of each expectation, expectations shown, pixels of a picture's longer side.
SHOWN, ROWS, SIDE = 5, 24, 160


def write_sample_gallery(path: Path, folder: str | AnyPath, report: Report) -> None:
    """Write a PNG with a row for each broken expectation, errors first.

    A record whose image or run lengths are what is broken is drawn as a grey square.

    Args:
        path: the file to write.
        folder: the folder of the shards, with their manifest.
        report: what the validation of these shards found.

    Example:
        >>> import tempfile
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=1))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> worst = (Where("rectangles-000000, mask 1", shard=0, position=0, mask=1),)
        >>> outcome = Outcome(
        ...     table="masks", name="area", severity="error", checked=9, failures=1, worst=worst)
        >>> report = Report(dataset="toy", kind="toy", shards=(facts.name,), records=1,
        ...                 outcomes=(outcome,), bad={})
        >>> write_sample_gallery(folder / "gallery.png", folder, report)
        >>> (folder / "gallery.png").is_file()
        True
    """
    manifest = read_manifest(folder)
    shards, images = shards_folder(folder, manifest), images_root(manifest)
    broken = [*report.broken, *report.warnings]
    rows = [
        (outcome, [place for place in outcome.worst if place.position >= 0][:SHOWN])
        for outcome in broken
        if outcome.table != "shards"
    ][:ROWS]
    cells = [
        [_picture(shards / report.shards[place.shard], place, images) for place in worst]
        for _, worst in rows
    ]
    names = [f"{outcome.severity}: {outcome.name}" for outcome, _ in rows]
    titles = _titles(report, rows)
    save_image(path, contact_sheet(cells, titles=titles, names=names, side=SIDE))


def _titles(report: Report, rows: Sequence[tuple[Outcome, Sequence[Where]]]) -> list[str]:
    """Return the titles of the columns of the sheet."""
    if not rows:
        return [f"{report.dataset}: nothing to show, {len(report.outcomes)} expectations"]
    most = max(len(worst) for _, worst in rows)
    return [f"{report.dataset}, number {number}" for number in range(1, most + 1)]


def _picture(shard: AnyPath, where: Where, images: AnyPath | None) -> UInt8[np.ndarray, "r s 3"]:
    """Return the image of a record, with the mask of the place if it names one."""
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
