"""Stage `headline`: the few numbers by which two runs are told apart, `dvc metrics show`.

All else that is measured is tables and plots: `dvc plots show`, `build/report/*/report.html`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from workflows.frame import publish, stage_main, work_folder

EVALUATED, HEADLINE = Path("build/evaluate"), Path("headline.json")
#: Of which model which metrics; the last is told of each dataset too.
TOLD = {
    "clicker": ("miou_at_1_center", "mean_best_iou_50"),
    "student": ("miou_at_1_center", "mean_best_iou_50"),
}
#: More numbers than these are no headline: then without those of each dataset.
MOST = 20


def main() -> None:
    """Write `headline.json`: means over datasets, and one number a dataset."""
    partial = work_folder("headline") / HEADLINE.name
    partial.write_text(json.dumps(headline(read_evaluations(EVALUATED)), indent=2) + "\n")
    publish(partial, HEADLINE)


def read_evaluations(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return DATASET -> MODEL -> METRIC of the evaluations in a folder.

    Example:
        >>> read_evaluations(Path("no/such/folder"))
        {}
    """
    found = {path.parent.name: path for path in sorted(folder.glob("*/metrics.json"))}
    return {name: json.loads(path.read_text())[name] for name, path in found.items()}


def headline(
    measured: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, float]]:
    """Return the headline of DATASET -> MODEL -> METRIC: every dataset counts the same.

    Example:
        >>> measured = {"d": {m: {k: 0.5 for k in TOLD[m]} for m in TOLD}}
        >>> headline(measured)["student"]
        {'miou_at_1': 0.5, 'best_iou_50': 0.5}
        >>> headline(measured)["student_on"]
        {'d': 0.5}
    """
    told = {
        model: {
            _short(metric): _mean([models[model][metric] for models in measured.values()])
            for metric in metrics
        }
        for model, metrics in TOLD.items()
    }
    model, last = list(TOLD)[-1], TOLD[list(TOLD)[-1]][-1]
    if sum(map(len, told.values())) + len(measured) <= MOST:
        told[f"{model}_on"] = {
            dataset: round(models[model][last], 6) for dataset, models in measured.items()
        }
    return told


def _short(metric: str) -> str:
    return metric.removeprefix("mean_").removesuffix("_center")


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 6)


if __name__ == "__main__":
    stage_main(main)
