"""The main numbers as tables in plain text."""

from collections.abc import Iterable, Mapping, Sequence

from maskspace.evaluation.findings import Heading, Metrics
from maskspace.evaluation.left_out import listed


def metrics_table(metrics: Mapping[str, Mapping[str, Metrics]], headings: Iterable[Heading]) -> str:
    """Return the main numbers as a table in plain text, with notes below it.

    A dash stands where there is no number: the model does not answer, or the data lack what the
    number needs. The notes give the reasons, and what proposals are ranked by.

    Example:
        >>> metrics = {
        ...     "d": {
        ...         "student": {
        ...             "images": 2,
        ...             "masks": 5,
        ...             "mean_best_iou_10": 0.8,
        ...             "miou_at_1_center": 0.7,
        ...             "ranking": "score",
        ...             "protocol": "maskspace",
        ...             "not_answered": {},
        ...             "lacking": {},
        ...             "left_out": {},
        ...         }
        ...     }
        ... }
        >>> headings = [
        ...     Heading(name="mean_best_iou_10", title="best@10", curve="mean_best_iou", at=10)
        ... ]
        >>> print(metrics_table(metrics, headings))
        dataset  model    images  masks  best@10
        d        student       2      5    0.800
        student: proposals ranked by score
    """
    shown = shown_headings(metrics.values(), headings)
    table = [["dataset", "model", "images", "masks", *(heading.title for heading in shown)]]
    for dataset, models in metrics.items():
        for model, values in models.items():
            numbers = [number(values.get(heading.name)) for heading in shown]
            table.append([dataset, model, str(values["images"]), str(values["masks"]), *numbers])
    notes = {
        f"{model}: proposals ranked by {values['ranking']}": None
        for models in metrics.values()
        for model, values in models.items()
        if "ranking" in values
    }
    return "\n".join([*aligned(table, left=2), *notes, *_reasons(metrics)]) + "\n"


def _reasons(metrics: Mapping[str, Mapping[str, Metrics]]) -> list[str]:
    """Return a line for what a dash in the table means, and for images that were left out."""
    lines = {f"{dataset}: no {name}: {why}": None for dataset, name, why in lacking(metrics)}
    for dataset, models in metrics.items():
        for model, values in models.items():
            refused, left_out = values["not_answered"], values["left_out"]
            assert isinstance(refused, dict) and isinstance(left_out, dict)
            for question, why in refused.items():
                lines[f"{model}: no answer to {question}: {why}"] = None
            if values.get("annotations_left_out"):
                number_of = values["annotations_left_out"]
                lines[f"{dataset}: {number_of} annotations left out: no mask can be read"] = None
            if left_out:
                images = len(left_out) + int(str(values["images"]))
                lines[
                    f"{dataset}: {len(left_out)} of {images} images left out: {listed(left_out)}"
                ] = None
    return list(lines)


def shown_headings(
    found: Iterable[Mapping[str, Metrics]], headings: Iterable[Heading]
) -> list[Heading]:
    """Return the columns of the main table for which some model has a number.

    Example:
        >>> metrics = {
        ...     "d": {
        ...         "student": {
        ...             "images": 2,
        ...             "masks": 5,
        ...             "mean_best_iou_10": 0.8,
        ...             "miou_at_1_center": 0.7,
        ...             "ranking": "score",
        ...             "protocol": "maskspace",
        ...             "not_answered": {},
        ...             "lacking": {},
        ...             "left_out": {},
        ...         }
        ...     }
        ... }
        >>> headings = [
        ...     Heading(name="mean_best_iou_10", title="best@10", curve="mean_best_iou", at=10)
        ... ]
        >>> [heading.title for heading in shown_headings(metrics.values(), headings)]
        ['best@10']
    """
    measured = {name for models in found for values in models.values() for name in values}
    return [
        heading
        for heading in headings
        if heading.title and heading.main and heading.name in measured
    ]


def lacking(metrics: Mapping[str, Mapping[str, Metrics]]) -> list[tuple[str, str, str]]:
    """Return dataset, measure and reason of what the data lack, each once.

    Example:
        >>> lacking(
        ...     {"d": {"student": {"lacking": {"regions": "1 of 2 images: pixels unlabelled"}}}}
        ... )
        [('d', 'regions', '1 of 2 images: pixels unlabelled')]
    """
    reasons_once: dict[tuple[str, str, str], None] = {}
    for dataset, models in metrics.items():
        for values in models.values():
            reasons = values["lacking"]
            assert isinstance(reasons, dict)
            reasons_once |= {(dataset, str(name), str(why)): None for name, why in reasons.items()}
    return list(reasons_once)


def aligned(table: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Return the lines of a table; its first `left` columns are aligned to the left.

    Example:
        >>> aligned([["name", "iou"], ["a", "0.5"]], left=1)
        ['name  iou', 'a     0.5']
    """
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def number(value: object) -> str:
    """Return a cell of a printed table: three decimals, or a dash for None.

    Example:
        >>> number(0.5), number(3), number(None)
        ('0.500', '3', '-')
    """
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


def correlations(values: Metrics) -> str:
    """Return in words how zero-shot and one-click IoU of a model correlate over images.

    Example:
        >>> correlations({"zero_shot_click_pearson": 0.5})
        'Pearson 0.500, Spearman undefined'
    """
    parts = []
    for name in ("pearson", "spearman"):
        value = values.get(f"zero_shot_click_{name}")
        parts.append(f"{name.capitalize()} {'undefined' if value is None else number(value)}")
    return ", ".join(parts)
