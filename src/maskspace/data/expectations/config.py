"""What the validate stage reads from params.yaml."""

from typing import Literal

from maskspace.config import lookup, section
from maskspace.data.expectations.suites import EXPECTATIONS, Severity


@section
class QuarantineConfig:
    """Put bad records aside and go on, as long as there are few of them.

    Args:
        rate: the largest share of all records that may be bad, in [0, 1).

    Example:
        >>> QuarantineConfig(rate=0.01).rate
        0.01
    """

    rate: float

    def __post_init__(self) -> None:
        """Refuse a rate outside [0, 1)."""
        if not 0 <= self.rate < 1:
            raise ValueError("rate is a share of the records in [0, 1)")


@section
class ValidateConfig:
    """The bounds of the expectations, the same for every dataset.

    Args:
        min_masks, max_masks: number of masks of an image.
        min_area: least pixels of a mask.
        min_side, max_side: height and width of an image, in pixels.
        max_record_bytes: bytes of a record with its image; a larger one is not read.
        max_depth: levels of nested masks.
        min_contrast: standard deviation of the grey levels (0 to 255) of a 32 x 32 thumbnail.
        near_iou: IoU in (0.5, 1] from which two masks of an image are near copies.
        near_bits: two images are near copies if their 64-bit hashes differ in at most so many bits,
            0 to 8.
        outlier_z: robust z-score, > 0, from which a size or a number is unusual in its dataset.
        min_coverage: dataset kind -> least share of the pixels, in [0, 1], that the masks of each
            layer cover.
        severities: name of an expectation -> "error", "warning" or "off", in place of its own. An
            "error" stops the pipeline, or with `quarantine` puts the record aside; a "warning" is
            only reported; with "off" the expectation is not checked.
        quarantine: how many bad records may be put aside; None: none.
        rows_per_check: masks that are checked at a time, >= 1; bounds the memory.

    Example:
        >>> config = ValidateConfig(
        ...     min_masks=0, max_masks=1000, min_area=1, min_side=1, max_side=20_000,
        ...     max_record_bytes=2**30, max_depth=10, min_contrast=1.0, near_iou=0.95, near_bits=4,
        ...     outlier_z=6.0, min_coverage={}, severities={"the mask is large enough": "warning"},
        ...     quarantine=QuarantineConfig(rate=0.01), rows_per_check=100_000)
        >>> config.severities
        {'the mask is large enough': 'warning'}
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
        """Refuse values outside their ranges, and severities of unknown expectations."""
        for name in self.severities:
            lookup(EXPECTATIONS, name, kind="validate: expectation")
        if not 0.5 < self.near_iou <= 1 or not 0 <= self.near_bits <= 8:
            raise ValueError("near_iou is in (0.5, 1] and near_bits in 0..8")
        if self.outlier_z <= 0 or min(self.max_record_bytes, self.rows_per_check) < 1:
            raise ValueError("outlier_z, max_record_bytes and rows_per_check are above 0")
        if not all(0 <= share <= 1 for share in self.min_coverage.values()):
            raise ValueError("min_coverage holds shares in [0, 1]")
