"""Plots of the covering of partitions: at one scale, by image, and by region."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maskspace import pictures
from maskspace.evaluation.findings import Heading, Metrics
from maskspace.evaluation.metric_names import COVERING, curve
from maskspace.evaluation.reference import Placed


def plot_regions(
    path: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    placed: Mapping[str, Iterable[Placed]],
    headings: Sequence[Heading],
) -> None:
    """Write a PNG of covering by ODS, OIS and best, one panel a dataset, with published values.

    The points are the headings of the curve COVERING. A model without partitions has no line.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {"covering_ods": 0.5, "covering_ois": 0.6}}}
        >>> headings = [Heading(name="covering_ods", title="ODS", curve=COVERING)]
        >>> plot_regions(folder / "regions.png", metrics, {}, headings)
        >>> (folder / "regions.png").read_bytes()[1:4]
        b'PNG'
    """
    pictures.plot_curves(
        path,
        region_panels(metrics, placed, headings),
        x_label="scale: one for all images, one an image, one a region",
        y_label="covering",
        logarithmic=False,
        tick_names={one.at: one.title for one in headings if one.curve == COVERING},
    )


def region_panels(
    metrics: Mapping[str, Mapping[str, Metrics]],
    placed: Mapping[str, Iterable[Placed]],
    headings: Sequence[Heading],
) -> dict[str, list[pictures.Line]]:
    """Return the lines of covering, by dataset.

    Example:
        >>> metrics = {"d": {"student": {"covering_ods": 0.5, "covering_ois": 0.6}}}
        >>> headings = [
        ...     Heading(name="covering_ods", curve=COVERING, at=0),
        ...     Heading(name="covering_ois", curve=COVERING, at=1)]
        >>> region_panels(metrics, {}, headings)["d"][0].y
        [0.5, 0.6]
    """
    panels: dict[str, list[pictures.Line]] = {}
    for dataset, models in metrics.items():
        drawn = [_line(name, values, headings) for name, values in models.items()]
        lines = [line for line in drawn if line.x]
        beside = [
            published
            for published in placed.get(dataset, ())
            if lines and published.values and not published.run
        ]
        lines += [
            _line(published.label, published.values, headings, published=True)
            for published in beside
        ]
        panels[dataset] = lines
    return panels


def _line(
    label: str,
    values: Mapping[str, object],
    headings: Sequence[Heading],
    *,
    published: bool = False,
) -> pictures.Line:
    points = curve(values, headings, name=COVERING)
    return pictures.Line(
        label=label,
        x=[point.at for point, _ in points],
        y=[value for _, value in points],
        published=published,
    )
