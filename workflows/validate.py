"""Stage `validate`: every expectation on a dataset's shards; a broken one stops the pipeline."""

import os
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data.expectations import (
    ValidateConfig,
    require_valid,
    validate_shards,
    write_report,
    write_sample_gallery,
    write_validated,
)
from workflows.frame import publish, stage_main, work_folder


def main(dataset: str) -> None:
    """Write `build/validate/DATASET`: what was found, which records to leave out, and why."""
    # a Ray of our own takes longer to start than these units take; a cluster is there already
    map_units = parallel.map_units if "RAY_ADDRESS" in os.environ else parallel.map_here
    config = load_section(ValidateConfig, "validate")
    shards = Path("build/shards") / dataset
    work = work_folder("validate", dataset)
    report = validate_shards(shards, config, map_units=map_units)
    write_report(work, report)
    write_sample_gallery(work / "gallery.png", shards, report)
    way = f"../../shards/{dataset}"
    write_validated(work, shards, report, from_folder=way, map_units=map_units)
    require_valid(report, details=work / "report.html")
    print(
        f"{dataset}: {len(report.outcomes)} expectations, {len(report.bad)} records in quarantine, "
        f"{len(report.warnings)} warnings; see build/validate/{dataset}/report.html"
    )
    publish(work, Path("build/validate") / dataset)


if __name__ == "__main__":
    stage_main(main)
