"""The names of numbers in metrics, and functions that read metrics by name."""

from collections.abc import Iterable, Mapping

from maskspace.evaluation.findings import Heading, Metrics

#: The curve of mean best IoU by the number of proposals.
CURVE = "mean_best_iou"
#: The curve of covering: at one scale for all images (0), one an image (1), one a region (2).
COVERING = "covering"
#: Heads of the names of metrics; the tail is that of a run.
MIOU, NOC, NOF, NEVER = "miou_at_", "noc_", "nof_", "never_"
OUTSIDE, OUTSIDE_OF_IMAGE = "changed_outside_", "changed_outside_of_image_"
BEST_LEVEL = "_best_level"


def answered_runs(metrics: Mapping[str, object]) -> list[str]:
    """Return the names of the runs that a model answered.

    Example:
        >>> answered_runs(
        ...     {"miou_at_1_center": 0.7, "miou_at_1_center_best_level": 0.8, "ar_10": 0.5}
        ... )
        ['center']
    """
    head = f"{MIOU}1_"
    names = [name.removeprefix(head) for name in metrics if name.startswith(head)]
    return [name for name in names if not name.endswith(BEST_LEVEL)]


def iou_curve(metrics: Mapping[str, object], run: str) -> list[tuple[int, float]]:
    """Return mIoU@k of a run by k.

    Example:
        >>> iou_curve({"miou_at_1_center": 0.7, "miou_at_2_center": 0.8}, "center")
        [(1, 0.7), (2, 0.8)]
    """
    points = []
    for k in range(1, len(metrics) + 1):
        value = metrics.get(f"{MIOU}{k}_{run}")
        if not isinstance(value, float):
            break
        points.append((k, value))
    return points


def curve(
    values: Mapping[str, object], headings: Iterable[Heading], *, name: str = CURVE
) -> list[tuple[Heading, float]]:
    """Return the points of a curve that have a number, in the order of the headings.

    Args:
        values: the metrics of a model.
        headings: how numbers are shown; they say which are points of the curve.
        name: which curve (default: mean best IoU, whose `at` is the number of proposals).

    Example:
        >>> heading = Heading(name="mean_best_iou_10", curve=CURVE, at=10)
        >>> [(point.at, value) for point, value in curve({"mean_best_iou_10": 0.8}, [heading])]
        [(10, 0.8)]
    """
    points = [(point, values.get(point.name)) for point in headings if point.curve == name]
    return [(point, value) for point, value in points if isinstance(value, float)]


def bounds(values: Metrics, metric: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric, None if it has none.

    Example:
        >>> bounds({"interval_95": {"dice_at_1": {"low": 0.7, "high": 0.9}}}, "dice_at_1")
        (0.7, 0.9)
    """
    intervals = values.get("interval_95")
    ends = intervals.get(metric) if isinstance(intervals, dict) else None
    return None if ends is None else (ends["low"], ends["high"])
