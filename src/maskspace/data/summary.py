"""The content of a folder of shards, for people: a table, histograms and a contact sheet."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from maskspace.data.counts import Counts, Tally, counts_from_json, depths
from maskspace.data.manifest import facts_of, read_manifest, shards_folder
from maskspace.data.open_shards import open_shards
from maskspace.data.records import parse_record, sample_places
from maskspace.data.splits import SPLITS
from maskspace.data.tars import read_member
from maskspace.files import AnyPath
from maskspace.masks import decode
from maskspace.pictures import Histogram, contact_sheet, paint_masks, plot_histograms, save_image
from maskspace.types import MapUnits, Sample, read_rgb

#: Samples on a contact sheet.
SHEET_ROWS = 8


def counts_by_split(
    folder: str | AnyPath, *, recount: bool = False, map_units: MapUnits = map
) -> dict[str, Counts]:
    """Return the counts of each split.

    Args:
        folder: the folder of shards.
        recount: whether all records are counted anew, shard by shard and without images; otherwise
            the manifest's counts are returned (default False).
        map_units: maps a function over shards, here or on a cluster (default `map`).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> counts = counts_by_split(folder)
        >>> {split: one.samples for split, one in counts.items()}
        {'train': 2, 'val': 0, 'test': 0}
        >>> counts_by_split(folder, recount=True) == counts
        True
    """
    manifest = read_manifest(folder)
    if not recount and all("counts" in part for part in manifest["splits"].values()):
        return {s: counts_from_json(manifest["splits"][s]["counts"]) for s in SPLITS}
    place = shards_folder(folder, manifest)
    names = {s: [one.name for one in facts_of(manifest, s)] for s in SPLITS}
    every = [name for split in SPLITS for name in names[split]]
    counts_of_shard = dict(zip(every, map_units(partial(_count, folder=place), every), strict=True))
    return {
        split: sum((counts_of_shard[name] for name in names[split]), Counts()) for split in SPLITS
    }


def _count(name: str, *, folder: AnyPath) -> Counts:
    tally, path = Tally(), folder / name
    for image, label in sample_places(path):
        record = parse_record(read_member(path, label), where=f"{path}:{label.name}")
        size = image.size if image else record.place.size if record.place else 0
        tally.add_record(record.fields["annotations"], record.fields["size_hw"], size)
    return tally.counts()


def summary_text(folder: str | AnyPath, counts: Mapping[str, Counts]) -> str:
    """Return a table of a folder of shards: totals, image sizes and histograms by split.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> text = summary_text(folder, counts_by_split(folder))
        >>> [line.split() for line in text.splitlines()[2:4]]
        [['train', 'val', 'test', 'all'], ['samples', '2', '0', '0', '2']]
    """
    manifest = read_manifest(folder)
    columns = {**counts, "all": sum(counts.values(), Counts())}
    parts = [manifest["splits"][split] for split in counts]
    shards = [len(part["shards"]) for part in parts]
    stored = [sum(one["bytes"] for one in part["shards"]) for part in parts]
    rows = [
        ["", *columns],
        ["samples", *(f"{c.samples}" for c in columns.values())],
        ["masks", *(f"{c.masks}" for c in columns.values())],
        ["masks to ignore", *(f"{c.ignored}" for c in columns.values())],
        ["annotations left out", *(f"{c.left_out}" for c in columns.values())],
        ["masks an image, mean", *(f"{_ratio(c.masks, c.samples):.1f}" for c in columns.values())],
        ["shards", *map(str, [*shards, sum(shards)])],
        ["megabytes of shards", *(f"{b / 1e6:.2f}" for b in [*stored, sum(stored)])],
        ["megabytes of images", *(f"{c.image_bytes / 1e6:.2f}" for c in columns.values())],
        ["smallest image (h x w)", *(_size(c.smallest_hw) for c in columns.values())],
        ["largest image (h x w)", *(_size(c.largest_hw) for c in columns.values())],
    ]
    for title, histogram in histograms(columns).items():
        rows += [[], [title, *(["%"] * len(columns))], *_shares(histogram)]
    images = "" if manifest.get("repack", True) else f", images in {manifest['root']}"
    title = f"{folder}: {manifest['dataset']}{images}"
    return "\n".join([title, "", *_aligned(rows)]) + "\n"


def histograms(counts: Mapping[str, Counts]) -> dict[str, Histogram]:
    """Return the histograms of several counts, by title; bins that are empty in all are cut.

    Example:
        >>> tables = histograms({"train": Counts(areas=(0, 0, 5, 7))})
        >>> tables["area of a mask (pixels)"].bins
        ['4-7', '8-15']
    """
    return {
        "area of a mask (pixels)": _histogram(counts, "areas", _from_power),
        "masks of an image": _histogram(counts, "masks_an_image", _below_power),
        "masks around a mask (nesting)": _histogram(counts, "depths", str),
        "longer side of an image (pixels)": _histogram(counts, "sides", _below_power),
    }


def _histogram(counts: Mapping[str, Counts], name: str, label: Any) -> Histogram:
    values = {split: getattr(one, name) for split, one in counts.items()}
    length = max(map(len, values.values()), default=0)
    padded = {split: bins + (0,) * (length - len(bins)) for split, bins in values.items()}
    used = np.flatnonzero(np.array([*padded.values(), (0,) * length]).sum(0)).tolist()
    used_bins = range(used[0], used[-1] + 1) if used else range(0)
    return Histogram(
        bins=[label(k) for k in used_bins],
        counts={split: [bins[k] for k in used_bins] for split, bins in padded.items()},
    )


def _from_power(k: int) -> str:
    return f"{2**k}-{2 ** (k + 1) - 1}" if k else "1"


def _below_power(k: int) -> str:
    return _from_power(k - 1) if k else "0"


def _shares(histogram: Histogram) -> Iterable[list[str]]:
    for k, label in enumerate(histogram.bins):
        shares = (100 * _ratio(bins[k], sum(bins)) for bins in histogram.counts.values())
        yield [f"  {label}", *(f"{share:.1f}" for share in shares)]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _size(size_hw: tuple[int, int] | None) -> str:
    return f"{size_hw[0]}x{size_hw[1]}" if size_hw else "-"


def _aligned(rows: list[list[str]]) -> Iterable[str]:
    first = max(len(row[0]) for row in rows if row)
    widths = [max(len(row[k]) for row in rows if row) for k in range(1, len(rows[0]))]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths, strict=False))
        yield "  ".join([row[0].ljust(first), *cells]).rstrip() if row else ""


def write_pictures(folder: str | AnyPath, counts: Mapping[str, Counts], out: Path) -> list[Path]:
    """Write `histograms.png` and `contact_sheet.png` in `out`; return their paths.

    The sheet shows samples evenly spread over the shards: the image, the masks inside no other
    mask, and the masks inside others.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> paths = write_pictures(folder, counts_by_split(folder), folder)
        >>> [path.name for path in paths]
        ['histograms.png', 'contact_sheet.png']
    """
    filled = {split: one for split, one in counts.items() if one.samples}
    plot_histograms(out / "histograms.png", histograms(filled), y_label="share")
    picked = list(_picked(folder, filled))
    sheet = contact_sheet(
        [_row(sample) for _, sample in picked],
        titles=["image", "outermost masks", "masks inside them"],
        names=[f"{sample.key} ({split})" for split, sample in picked],
    )
    save_image(out / "contact_sheet.png", sheet)
    return [out / "histograms.png", out / "contact_sheet.png"]


def _picked(folder: str | AnyPath, counts: Mapping[str, Counts]) -> Iterable[tuple[str, Sample]]:
    total = sum(one.samples for one in counts.values())
    number = min(SHEET_ROWS, total)
    indices = [(2 * i + 1) * total // (2 * number) for i in range(number)]
    start = 0
    for split, one in counts.items():
        shards = open_shards(folder, split)
        for index in indices:
            if start <= index < start + one.samples:
                yield split, shards[index - start]
        start += one.samples


def _row(sample: Sample) -> list[np.ndarray]:
    image = read_rgb(sample.image)
    masks = decode([annotation.counts for annotation in sample.annotations], sample.size_hw)
    inner = np.array(depths(sample.annotations), np.int64) > 0
    return [image, paint_masks(image, masks[~inner]), paint_masks(image, masks[inner])]
