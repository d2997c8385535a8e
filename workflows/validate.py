"""Stage `validate`: every expectation on a dataset's shards; a broken one stops the pipeline."""

from pathlib import Path

from maskspace.config import load_section
from maskspace.data.expectations import (
    ValidateConfig,
    require_valid,
    validate_shards,
    write_report,
)
from workflows.frame import publish, stage_main, work_folder


def main(dataset: str) -> None:
    """Write `build/validate/DATASET`: the report on the dataset's shards, as JSON and as a page."""
    config = load_section(ValidateConfig, "validate")
    work = work_folder("validate", dataset)
    report = validate_shards(Path("build/shards") / dataset, config)
    write_report(work, report)
    require_valid(report, details=work / "report.html")
    print(f"{dataset}: {len(report.outcomes)} expectations hold")
    publish(work, Path("build/validate") / dataset)


if __name__ == "__main__":
    stage_main(main)
