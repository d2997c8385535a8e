"""What has to hold of every shard: Great Expectations suites, one a dataset kind.

Shards become columns (`tables`, from `measures` of run lengths and `similar` images), columns are
held against `suites`, in pieces of bounded size (`check`) and every record against all others
(`dataset`); `report` tells what was found, and `quarantine` puts bad records aside.
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
