"""What has to hold of every shard: Great Expectations suites, one for each kind of dataset.

Read the files in this order:

1. `tables` turns a part of a shard into columns. `measures` measures its masks on their run
   lengths; `similar` hashes its images.
2. `suites` lists the expectations, and which of them hold for which kind of dataset.
3. `check` holds the columns against a suite, in pieces of bounded size.
4. `dataset` compares every record with all others.
5. `validation` puts these steps in a line; `report` writes what they find; `quarantine` puts bad
   records aside; `gallery` draws the worst ones.
"""

from maskspace.data.expectations.config import QuarantineConfig, ValidateConfig
from maskspace.data.expectations.gallery import write_sample_gallery
from maskspace.data.expectations.quarantine import write_validated
from maskspace.data.expectations.report import (
    Outcome,
    Report,
    Where,
    metrics,
    require_valid,
    write_report,
)
from maskspace.data.expectations.suites import EXPECTATIONS, KINDS
from maskspace.data.expectations.validation import validate_shards

__all__ = [
    "EXPECTATIONS",
    "KINDS",
    "Outcome",
    "QuarantineConfig",
    "Report",
    "ValidateConfig",
    "Where",
    "metrics",
    "require_valid",
    "validate_shards",
    "write_report",
    "write_sample_gallery",
    "write_validated",
]
