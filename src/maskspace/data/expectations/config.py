"""What the validate stage reads from params.yaml."""

from typing import Literal

from maskspace.config import lookup, section
from maskspace.data.expectations.suites import EXPECTATIONS, Severity


@section
class QuarantineConfig:
    """Put bad records aside and go on, as long as they are at most the share `rate` of all.

    Example:
        >>> QuarantineConfig(rate=0.01).rate
        0.01
    """

    rate: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 <= self.rate < 1:
            raise ValueError("rate is a share of the records in [0, 1)")


@section
class ValidateConfig:
    """The bounds of the expectations, for every dataset; sizes in pixels, shares in [0, 1].

    `min_contrast` is the standard deviation of a thumbnail's grey levels; `near_iou` the IoU from
    which two masks of an image are near copies; `near_bits` how many of 64 bits the hashes of two
    images may differ in to be near copies; `outlier_z` the robust z-score from which a size or a
    number is unusual in its dataset; `min_coverage` the least share of the pixels that the masks of
    each layer cover, by dataset kind. `severities` overrides the severity of expectations by name:
    an "error" stops the pipeline (or puts the record in `quarantine`, where that is not null), a
    "warning" is only told, "off" is not checked. `rows_per_check` bounds the masks that are looked
    at in one go.
    """

    min_masks: int
    max_masks: int
    min_area: int
    min_side: int
    max_side: int
    max_record_bytes: int
    max_depth: int
    min_contrast: float
    near_iou: float
    near_bits: int
    outlier_z: float
    min_coverage: dict[str, float]
    severities: dict[str, Severity | Literal["off"]]
    quarantine: QuarantineConfig | None
    rows_per_check: int

    def __post_init__(self) -> None:
        """Refuse values outside their ranges, and severities of what is not expected."""
        for name in self.severities:
            lookup(EXPECTATIONS, name, kind="validate: expectation")
        if not 0.5 < self.near_iou <= 1 or not 0 <= self.near_bits <= 8:
            raise ValueError("near_iou is in (0.5, 1] and near_bits in 0..8")
        if self.outlier_z <= 0 or min(self.max_record_bytes, self.rows_per_check) < 1:
            raise ValueError("outlier_z, max_record_bytes and rows_per_check are above 0")
        if not all(0 <= share <= 1 for share in self.min_coverage.values()):
            raise ValueError("min_coverage holds shares in [0, 1]")
