"""Stage `report`: what was measured on a dataset, drawn; a changed page measures nothing again."""

from pathlib import Path

from maskspace.config import load_section
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.reporting import draw_report
from workflows.frame import publish, stage_main, work_folder


def main(dataset: str) -> None:
    """Write `build/report/DATASET`: a page, plots, sheets of pictures and a table."""
    config = load_section(EvaluateConfig, "evaluate")
    out = work_folder("report", dataset) / "out"
    print(draw_report(Path("build/evaluate") / dataset, out, config=config), end="")
    publish(out, Path("build/report") / dataset)


if __name__ == "__main__":
    stage_main(main)
