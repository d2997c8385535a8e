"""The main numbers as tables in plain text."""

from collections.abc import Mapping, Sequence

from maskspace.evaluation.findings import Metrics
from maskspace.evaluation.left_out import listed

#: Columns of the printed table, as far as they were measured: metric -> heading.
COLUMNS = {
    "miou_at_1_center": "mIoU@1",
    "miou_at_1_random": "random",
    "mean_best_iou_10": "best@10",
    "mean_best_iou_50": "best@50",
    "ar_10": "AR@10",
    "ar_100": "AR@100",
    "covering_ods": "cover ODS",
    "covering_ois": "OIS",
    "covering_best": "best",
    "feature_std": "std",
}


def metrics_table(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Return the main numbers as a table in plain text, with what each ranking means below it.

    mIoU@1 of centre and of random clicks, mean best IoU and COCO's AR of a number of proposals,
    covering of partitions at one scale for all images, for each and for each region, standard
    deviation of the features. A dash stands where a model does not answer; the reasons are below.
    """
    columns = [c for c in COLUMNS if any(c in v for m in metrics.values() for v in m.values())]
    table = [["dataset", "model", "images", "masks", *(COLUMNS[c] for c in columns)]]
    for dataset, models in metrics.items():
        for model, values in models.items():
            numbers = [number(values.get(column)) for column in columns]
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
    lines: dict[str, None] = {}
    for dataset, models in metrics.items():
        for model, values in models.items():
            refused, left_out = values["not_answered"], values["left_out"]
            assert isinstance(refused, dict) and isinstance(left_out, dict)
            for question, why in refused.items():
                lines[f"{model}: no answer to {question}: {why}"] = None
            if left_out:
                images = len(left_out) + int(str(values["images"]))
                lines[
                    f"{dataset}: {len(left_out)} of {images} images left out: {listed(left_out)}"
                ] = None
    return list(lines)


def aligned(table: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Return the lines of a table, its first `left` columns aligned to the left."""
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def number(value: object) -> str:
    """Return a cell of a printed table: three decimals, and a dash for what is not there."""
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


def correlations(values: Metrics) -> str:
    """Return how zero-shot and one-click IoU of a model go together over images, in words."""
    parts = []
    for name in ("pearson", "spearman"):
        value = values.get(f"zero_shot_click_{name}")
        parts.append(f"{name.capitalize()} {'undefined' if value is None else number(value)}")
    return ", ".join(parts)
