"""The page of photos: a table a question, each number with its interval over photos, and curves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from maskspace.evaluation.findings import Comparison, Metrics
from maskspace.evaluation.intervals import comparisons
from maskspace.evaluation.measures import figures_of
from maskspace.evaluation.metric_names import CURVE, bounds
from maskspace.evaluation.photos import MeasuredRow, PhotosConfig
from maskspace.evaluation.plots import plot_iou_curves
from maskspace.evaluation.region_report import plot_regions
from maskspace.evaluation.steadiness import CHANGES, Steadiness
from maskspace.evaluation.summary import summarize
from maskspace.files import write_whole
from maskspace.metrics.bootstrap import confidence_interval

#: Metric -> head of its column, in the order of the first table.
REGIONS = {
    "covering_ods": "covering ODS",
    "covering_ois": "OIS",
    "covering_best": "best",
    "rand_ods": "PRI ODS",
    "rand_ois": "OIS",
    "information_ods": "VI ODS",
    "information_ois": "OIS",
    "boundary_f_ods": "F ODS",
    "boundary_f_ois": "OIS",
    "boundary_f_ap": "AP",
}
CLICKS = {"miou_at_1_center": "mIoU@1, centre", "miou_at_1_random": "anywhere"}
#: What rows are compared by, one with the reference.
COMPARED = ("covering_ods", "covering_ois", "boundary_f_ods", "miou_at_1_center")
PICTURES = {"curve": "pictures/photos-curve.png", "covering": "pictures/photos-covering.png"}

_HEAD = """# Photos

{number} photos of {kind} {split}; each row is one model or method on the same photos, in the same
harness as `maskspace evaluate`. Written by the stage `photos`, in two commands:

    make repro PROFILE=photos STAGES=photos
    cp -r .profiles/photos/build/photos/{dataset}/{{photos.md,pictures}} docs/

In brackets: 95 % intervals over photos (2000 resamples, the same ones for every row).
"""
_REGIONS = """
## Regions and boundaries

Against every annotator. A tree is cut at heights that mean the same in every photo or, where they
do not, into as many regions. ODS: at one scale for all photos; OIS: at the best of each photo;
best: at the best of each region. PRI: probabilistic Rand index; VI: variation of information, in
nats, lower is better. F: of boundaries matched one to one within 0.0075 of the diagonal, both
thinned; AP: the area under precision against recall, over the recalls that the scales reach.
"""
_CURVE = """
## Proposals

Mean over masks of {min_area} pixels or more of the best IoU among so many first proposals.
"""
_RECALL = """
## Recall, clicks, time

AR: COCO's average recall. mIoU@1: after one click at the mask's centre, or anywhere in it. ms:
median of a photo to its partition into {regions} regions, or to all scales of what has only those,
on one thread of a machine that did other work beside.
"""
_STEADY = """
## Steadiness

Adjusted Rand index of the partition into {regions} regions of the changed photo with that of the
photo. Bands: regions within {frame} pixels of the frame, beyond those of the annotators. Constant:
the greatest difference of a feature over a grey image.
"""
_AGAINST = """
## Against {reference}

What each row has more than `{reference}`, on the same photos.
"""


@dataclass(frozen=True, kw_only=True)
class _Page:
    """What all tables read."""

    rows: Sequence[MeasuredRow]
    metrics: Mapping[str, Metrics]
    compared: Sequence[Comparison]
    config: PhotosConfig


def write_photos(
    rows: Sequence[MeasuredRow], out: Path, *, dataset: str, total: int, config: PhotosConfig
) -> None:
    """Write `photos.md`, `photos.json` and `PICTURES` in the folder `out`, the page last.

    `total` is the number of photos that there are; of fewer the page says so.

    Example:
        >>> import tempfile
        >>> from maskspace.config import Choice
        >>> from maskspace.evaluation.photos import PhotoRow
        >>> from maskspace.evaluation.rows import Row
        >>> config = PhotosConfig(
        ...     reader=Choice(name="bsds500", options={}), root="BSDS500", split="val", limit=None,
        ...     min_area=1, proposal_counts=(1,), recall_counts=(1,), region_counts=(2,),
        ...     regions=2, frame=1, reference="ours", rows={"ours": PhotoRow(model="ours")},
        ...     ablations={})
        >>> kept = {"mean_best_iou_1": [0.5]}
        >>> rows = [Row(
        ...     dataset="d", model="ours", key=key, masks=1, masks_too_small=0, ids=[1], areas=[9],
        ...     kept=kept) for key in "ab"]
        >>> out = Path(tempfile.mkdtemp())
        >>> ours = MeasuredRow(name="ours", rows=rows)
        >>> write_photos([ours], out, dataset="d", total=2, config=config)
        >>> "| ours | 0.500 [.500, .500] |" in (out / "photos.md").read_text()
        True
    """
    asked = config.measured()
    there = [row for row in rows if not row.missing]
    metrics = {
        row.name: summarize(row.rows, config=asked, ranking={row.name: row.ranking})[row.name]
        for row in there
    }
    figures = figures_of(asked)
    flat = [one for row in there for one in row.rows]
    compared = list(comparisons(flat, figures, seed=asked.interactive.seed))
    page = _Page(rows=rows, metrics=metrics, compared=compared, config=config)
    drawn = {f"{dataset} {config.split}": {k: v for k, v in metrics.items() if k in config.rows}}
    headings = [figure.heading for figure in figures.values()]
    plot_iou_curves(out / PICTURES["curve"], drawn, headings)
    plot_regions(out / PICTURES["covering"], drawn, {}, headings)
    told = {row.name: metrics[row.name] | _steady(row.steady) for row in there}
    write_whole(out / "photos.json", json.dumps(told, indent=2, allow_nan=False) + "\n")
    write_whole(out / "photos.md", _written(page, dataset, total))


def _written(page: _Page, dataset: str, total: int) -> str:
    config = page.config
    images = max((int(str(one["images"])) for one in page.metrics.values()), default=0)
    points = {f"{CURVE}_{count}": str(count) for count in config.proposal_counts}
    recalls = {f"ar_{count}": f"AR@{count}" for count in config.recall_counts}
    filled = {"regions": config.regions, "frame": config.frame, "min_area": config.min_area}
    return "".join(
        [
            _HEAD.format(
                number=images if images >= total else f"The first {images} of {total}",
                kind=config.reader.name,
                split=config.split,
                dataset=dataset,
            ),
            _REGIONS,
            _table(page, REGIONS),
            f"\n![covering]({PICTURES['covering']})\n",
            _CURVE.format(**filled),
            _table(page, points),
            f"\n![mean best IoU against the number of proposals]({PICTURES['curve']})\n",
            _RECALL.format(**filled),
            _table(page, recalls | CLICKS, timed=True),
            _STEADY.format(**filled),
            _steadiness_table(page),
            _AGAINST.format(reference=config.reference),
            _against(page, [*COMPARED, *(f"{CURVE}_{n}" for n in (10, 50, 500))]),
            "\n## The rows\n\n",
            *(_described(row, config) for row in page.rows),
        ]
    )


def _table(page: _Page, columns: Mapping[str, str], *, timed: bool = False) -> str:
    lines = [["row", *columns.values(), *(["ms"] if timed else [])]]
    for row in page.rows:
        if row.missing:
            continue
        values = page.metrics[row.name]
        cells = [_cell(values.get(name), bounds(values, name)) for name in columns]
        lines.append([row.name, *cells, *([_milliseconds(row)] if timed else [])])
    return _markdown(lines)


def _steadiness_table(page: _Page) -> str:
    lines = [["row", *CHANGES, "bands", "constant"]]
    for row in page.rows:
        steady = _steady(row.steady)
        if not steady:
            continue
        constant = "" if row.constant is None else f"{row.constant:.1e}"
        cells = [_cell(steady.get(name), bounds(steady, name)) for name in (*CHANGES, "bands")]
        lines.append([row.name, *cells, constant])
    return _markdown(lines)


def _against(page: _Page, names: Sequence[str]) -> str:
    """Return a table of differences to the reference, whichever of the two comes first."""
    reference = page.config.reference
    found = {}
    for one in page.compared:
        if reference in (one.model, one.other):
            row, sign = (one.model, 1) if one.other == reference else (one.other, -1)
            low, high = sorted((sign * one.low, sign * one.high))
            found[row, one.measure] = (sign * one.difference, (low, high))
    known = [name for name in names if any(measure == name for _, measure in found)]
    lines = [["row", *known]]
    for row in page.rows:
        if any(name == row.name for name, _ in found):
            cells = [_cell(*found.get((row.name, name), (None, None))) for name in known]
            lines.append([row.name, *cells])
    return _markdown(lines)


def _described(row: MeasuredRow, config: PhotosConfig) -> str:
    asked = (config.rows | config.ablations)[row.name]
    told = [f"`{asked.model.partition('@')[0]}`"]
    told += [f"weights {row.version}"] if row.version else []
    told += [", ".join(f"{name} {value:g}" for name, value in asked.rule.items())]
    told += [f"tree of {asked.tree}"] if asked.tree != "own" else []
    told += [f"proposals by {row.ranking}"] if row.ranking else []
    told += [asked.note, f"no row: {row.missing}" if row.missing else ""]
    return f"- {row.name}: {'; '.join(text for text in told if text)}.\n"


def _steady(found: Sequence[Steadiness]) -> Metrics:
    """Return means over photos with their intervals; nothing where the model does not partition."""
    answered = [one for one in found if not one.refused]
    names = [name for name in CHANGES if all(name in one.agreement for one in answered)]
    if len(answered) < 2:
        return {}
    columns = [[one.agreement[name] for one in answered] for name in names]
    sums = np.array([*columns, [one.bands for one in answered]]).T
    interval = confidence_interval(
        sums, np.ones(len(sums), np.int64), generator=np.random.default_rng(0)
    )
    pairs = zip([*names, "bands"], interval.low, interval.high, strict=True)
    return {
        **dict(zip([*names, "bands"], interval.value.tolist(), strict=True)),
        "interval_95": {
            name: {"low": float(low), "high": float(high)} for name, low, high in pairs
        },
    }


def _milliseconds(row: MeasuredRow) -> str:
    timed = [one.milliseconds for one in row.steady if one.milliseconds]
    return f"{median(timed):.0f}" if timed else ""


def _cell(value: object, limits: tuple[float, float] | None) -> str:
    if not isinstance(value, float):
        return ""
    if limits is None:
        return f"{value:.3f}"
    low, high = (f"{limit:.3f}".replace("0.", ".", 1) for limit in limits)
    return f"{value:.3f} [{low}, {high}]"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(["", rows[0], f"|{' --- |' * len(lines[0])}", *rows[1:], ""])
