"""Stage `regime_report`: what was measured of the regimes, drawn."""

from pathlib import Path

from maskspace.config import load_section
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.reporting import draw_report
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/regime_report/DATASET`: a page, plots, sheets of pictures and a table."""
    config = load_section(EvaluateConfig, "compare")
    out = work_folder("regime_report") / "out"
    for measured in sorted(path for path in Path("build/compare").iterdir() if path.is_dir()):
        print(draw_report(measured, out / measured.name, config=config), end="")
    publish(out, Path("build/regime_report"))


if __name__ == "__main__":
    stage_main(main)
