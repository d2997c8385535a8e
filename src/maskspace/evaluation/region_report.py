"""Covering of partitions, in a picture and a table: at one scale, by image, and by region."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from maskspace import pictures
from maskspace.evaluation.findings import Metrics
from maskspace.evaluation.reference import Placed

#: What is shown: metric -> name.
COVERING = {"covering_ods": "ODS", "covering_ois": "OIS", "covering_best": "best"}


def plot_regions(
    path: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    placed: Mapping[str, Iterable[Placed]],
) -> None:
    """Write a PNG: covering by ODS, OIS and best, one panel a dataset, beside what was published.

    A model that does not partition has no line.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {"covering_ods": 0.5, "covering_ois": 0.6}}}
        >>> plot_regions(folder / "regions.png", metrics, {})
        >>> (folder / "regions.png").read_bytes()[1:4]
        b'PNG'
    """
    pictures.plot_curves(
        path,
        region_panels(metrics, placed),
        x_label="scale: one for all images, one an image, one a region",
        y_label="covering",
        logarithmic=False,
        tick_names=dict(enumerate(COVERING.values())),
    )


def region_panels(
    metrics: Mapping[str, Mapping[str, Metrics]], placed: Mapping[str, Iterable[Placed]]
) -> dict[str, list[pictures.Line]]:
    """Return the lines of covering, by dataset.

    Example:
        >>> metrics = {"d": {"student": {"covering_ods": 0.5, "covering_ois": 0.6}}}
        >>> region_panels(metrics, {})["d"][0].y
        [0.5, 0.6]
    """
    panels: dict[str, list[pictures.Line]] = {}
    for dataset, models in metrics.items():
        lines = [_line(name, values) for name, values in models.items() if partitions(values)]
        beside = [one for one in placed.get(dataset, ()) if lines and one.values and not one.run]
        lines += [_line(one.label, one.values, published=True) for one in beside]
        panels[dataset] = lines
    return panels


def partitions(values: Metrics) -> bool:
    """Return whether a model's partitions were measured.

    Example:
        >>> partitions({"covering_ods": 0.5}), partitions({"dice_at_1": 0.8})
        (True, False)
    """
    return not set(COVERING).isdisjoint(values)


def _line(label: str, values: Mapping[str, object], *, published: bool = False) -> pictures.Line:
    found = [(place, values.get(metric)) for place, metric in enumerate(COVERING)]
    numbers = [(place, value) for place, value in found if isinstance(value, float)]
    return pictures.Line(
        label=label,
        x=[place for place, _ in numbers],
        y=[value for _, value in numbers],
        published=published,
    )
