"""The clicks as a table in plain text: one line for each run that was answered."""

from collections.abc import Mapping

from maskspace.evaluation.findings import Metrics
from maskspace.evaluation.metric_names import (
    BEST_LEVEL,
    MIOU,
    NEVER,
    NOC,
    NOF,
    OUTSIDE,
    answered_runs,
)
from maskspace.evaluation.tables import aligned, number

#: Numbers of clicks whose mIoU has a column of the table, as far as they were made.
SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)


def click_table(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Return the runs of every model in plain text, and below them the protocol.

    NoC: mean number of clicks to the IoU in percent; NoF: masks that took all clicks; never: masks
    that did not reach that IoU; outside: share of what further clicks changed that was right
    before.

    Example:
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> print(click_table(metrics))
        dataset  model    clicks  mIoU@1
        d        student  center   0.700
        protocol maskspace
    """
    table = click_cells(metrics)
    if len(table) == 1:
        return ""
    protocols = dict.fromkeys(str(v["protocol"]) for m in metrics.values() for v in m.values())
    return "\n".join([*aligned(table, left=3), *(f"protocol {text}" for text in protocols)]) + "\n"


def click_cells(metrics: Mapping[str, Mapping[str, Metrics]]) -> list[list[str]]:
    """Return the cells of the table of clicks, headings first: one line a run that was answered.

    Example:
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> click_cells(metrics)
        [['dataset', 'model', 'clicks', 'mIoU@1'], ['d', 'student', 'center', '0.700']]
    """
    lines = [
        (dataset, model, run, values)
        for dataset, models in metrics.items()
        for model, values in models.items()
        for run in answered_runs(values)
    ]
    heads = {f"{MIOU}{k}_{{}}": f"mIoU@{k}" for k in SHOWN_CLICKS}
    heads |= {f"{MIOU}1_{{}}{BEST_LEVEL}": "best level"}
    targets = sorted(
        {
            name.removeprefix(NOC).removesuffix(f"_{run}")
            for _, _, run, values in lines
            for name in values
            if name.startswith(NOC) and name.endswith(f"_{run}")
        }
    )
    for head, title in ((NOC, "NoC"), (NOF, "NoF"), (NEVER, "never")):
        heads |= {f"{head}{target}_{{}}": f"{title}{target}" for target in targets}
    heads |= {f"{OUTSIDE}{{}}": "outside"}
    shown = {
        name: title
        for name, title in heads.items()
        if any(name.format(run) in values for _, _, run, values in lines)
    }
    table = [["dataset", "model", "clicks", *shown.values()]]
    for dataset, model, run, values in lines:
        cells = [number(values.get(name.format(run))) for name in shown]
        table.append([dataset, model, run, *cells])
    return table
