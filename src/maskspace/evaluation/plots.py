"""Plots of what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maskspace import pictures
from maskspace.evaluation.findings import Heading, Metrics
from maskspace.evaluation.metric_names import answered_runs, bounds, curve, iou_curve
from maskspace.evaluation.reference import Placed
from maskspace.evaluation.tables import correlations


def plot_iou_curves(
    path: Path, metrics: Mapping[str, Mapping[str, Metrics]], headings: Sequence[Heading]
) -> None:
    """Write a PNG: mean best IoU against the number of proposals, one panel a dataset.

    Bands are 95 % intervals over images.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> headings = [Heading(
        ...     name="mean_best_iou_10", title="best@10", curve="mean_best_iou", at=10)]
        >>> plot_iou_curves(folder / "curve.png", metrics, headings)
        >>> (folder / "curve.png").read_bytes()[1:4]
        b'PNG'
    """
    panels = {
        dataset: [
            pictures.Line(
                label=f"{model} (by {values['ranking']})",
                x=[point.at for point, _ in curve(values, headings)],
                y=[value for _, value in curve(values, headings)],
                band=_band(values, headings),
            )
            for model, values in models.items()
            if "ranking" in values
        ]
        for dataset, models in metrics.items()
    }
    pictures.plot_curves(path, panels, x_label="number of proposals", y_label="mean best IoU")


def plot_click_scatter(
    path: Path,
    pairs: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    metrics: Mapping[str, Mapping[str, Metrics]],
    *,
    count: int,
    run: str,
) -> None:
    """Write a PNG of zero-shot IoU against one-click IoU: a point an image, a panel a dataset.

    Args:
        path: the file.
        pairs: dataset -> model that answers both -> the two IoUs of each image.
        metrics: dataset -> model -> metrics.
        count: number of proposals of the zero-shot IoU.
        run: name of the run of the clicks.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> pairs = {"d": {"student": ([0.5, 0.9], [0.6, 0.8])}}
        >>> plot_click_scatter(folder / "scatter.png", pairs, metrics, count=10, run="center")
        >>> (folder / "scatter.png").read_bytes()[1:4]
        b'PNG'
    """
    panels: dict[str, list[pictures.Line]] = {}
    for dataset, models in metrics.items():
        for model, values in models.items():
            if model not in pairs[dataset]:
                continue
            x, y = pairs[dataset][model]
            label = f"{model}\n{correlations(values)}"
            panels.setdefault(dataset, []).append(pictures.Line(label=label, x=x, y=y))
    pictures.plot_scatter(
        path,
        panels,
        x_label=f"IoU after one click ({run})",
        y_label=f"mean best IoU of {count} proposals",
    )


def plot_click_curves(
    path: Path,
    metrics: Mapping[str, Mapping[str, Metrics]],
    placed: Mapping[str, Iterable[Placed]],
) -> None:
    """Write a PNG of mIoU against the number of clicks, one panel a dataset.

    Published values of the same way of clicking are drawn beside a run. If any run has several
    clicks, runs of one click are left out.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> plot_click_curves(folder / "clicks.png", metrics, {})
        >>> (folder / "clicks.png").read_bytes()[1:4]
        b'PNG'
    """
    panels = click_panels(metrics, placed)
    pictures.plot_curves(path, panels, x_label="clicks", y_label="mIoU", logarithmic=False)


def click_panels(
    metrics: Mapping[str, Mapping[str, Metrics]], placed: Mapping[str, Iterable[Placed]]
) -> dict[str, list[pictures.Line]]:
    """Return the lines of mIoU against the number of clicks, by dataset.

    Example:
        >>> metrics = {"d": {"student": {"miou_at_1_center": 0.7, "miou_at_2_center": 0.8}}}
        >>> (line,) = click_panels(metrics, {})["d"]
        >>> line.label, line.x, line.y
        ('student, center', [1, 2], [0.7, 0.8])
    """
    panels: dict[str, list[pictures.Line]] = {}
    for dataset, models in metrics.items():
        curves = {
            (model, run): iou_curve(values, run)
            for model, values in models.items()
            for run in answered_runs(values)
        }
        longest = max(map(len, curves.values()), default=0)
        shown = {way: c for way, c in curves.items() if len(c) > 1 or longest == 1}
        runs = {run for _, run in shown}
        panels[dataset] = [
            *(
                pictures.Line(
                    label=f"{model}, {run}",
                    x=[k for k, _ in curve],
                    y=[value for _, value in curve],
                )
                for (model, run), curve in shown.items()
            ),
            *(
                one.click_line()
                for one in placed.get(dataset, ())
                if one.values and one.run in runs
            ),
        ]
    return panels


def _band(values: Metrics, headings: Sequence[Heading]) -> list[tuple[float, float]] | None:
    ends = [bounds(values, point.name) for point, _ in curve(values, headings)]
    return None if None in ends else [pair for pair in ends if pair is not None]
