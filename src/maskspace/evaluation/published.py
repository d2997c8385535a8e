"""Published values, each with all that it depends on, by the names of our metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

MIOU = "miou_at_"


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split of a dataset.

    kind: the dataset's reader.
    name: the split.
    images: number of its images.

    Example:
        >>> BSDS.images
        200
    """

    kind: str
    name: str
    images: int


@dataclass(frozen=True, kw_only=True)
class Clicking:
    """How a published method was clicked.

    Further clicks are answered in rounds, each with the map of the round before ("iterative").

    clicker: how clicks are placed.
    threshold: where probabilities are cut.
    side: side in pixels of the square to which images are resized.

    Example:
        >>> CENTER_049.described
        'center clicks, p > 0.49, 1024 px'
    """

    clicker: str
    threshold: float
    side: int

    @property
    def described(self) -> str:
        """Return it in words."""
        return f"{self.clicker} clicks, p > {self.threshold:g}, {self.side} px"


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was published of one method on one split.

    Masks of every size count.

    method: its name.
    split: the split; None if it is not known.
    values: name of a metric, without a run -> value.
    source: where it was published.
    clicking: how it was clicked; None for values of regions, which are measured at the images' own
        size against all annotators.
    remembered: whether the values are from memory of the source.

    Example:
        >>> [one.method for one in PUBLISHED if one.split == BSDS]
        ['gPb-OWT-UCM', 'MCG', 'Felzenszwalb-Huttenlocher']
    """

    method: str
    split: Split | None
    values: Mapping[str, float]
    source: str
    clicking: Clicking | None = None
    remembered: bool = False


def _miou(*values: float) -> dict[str, float]:
    """Return mIoU after 1, 2, 3, 5 and 10 clicks, as many as there are values."""
    return {f"{MIOU}{k}": value for k, value in zip((1, 2, 3, 5, 10), values, strict=False)}


def _covering(ods: float, ois: float, best: float | None = None) -> dict[str, float]:
    values = {"covering_ods": ods, "covering_ois": ois}
    return values if best is None else {**values, "covering_best": best}


DAVIS = Split(kind="davis_interactive", name="test", images=345)
HQSEG = Split(kind="hqseg44k", name="val", images=1537)
BSDS = Split(kind="bsds500", name="test", images=200)

CENTER_049 = Clicking(clicker="center", threshold=0.49, side=1024)
#: SAM's own masks: logits above 0.
CENTER_05 = Clicking(clicker="center", threshold=0.5, side=1024)
CENTER_2048 = Clicking(clicker="center", threshold=0.49, side=2048)
RANDOM_05 = Clicking(clicker="random", threshold=0.5, side=1024)

SEGNEXT_CURVES = "Liu et al. 2024, arXiv 2404.00741, curves of figure 3 in the authors' repository"
ORDER_AWARE = "Wang et al. 2025, arXiv 2410.12214, by SegNext's protocol"
PAMI = "Arbelaez et al. 2011, doi:10.1109/TPAMI.2010.161, table 2"

PUBLISHED: tuple[Published, ...] = (
    Published(
        method="SegNext SAx2 HQ",
        split=DAVIS,
        values=_miou(0.85967785, 0.8943942, 0.9085542, 0.91874087, 0.92923486),
        source=SEGNEXT_CURVES,
        clicking=CENTER_049,
    ),
    Published(
        method="SegNext SAx2 HQ",
        split=HQSEG,
        values=_miou(0.8178828, 0.8825357, 0.9040088, 0.9175285, 0.92663807),
        source=SEGNEXT_CURVES,
        clicking=CENTER_049,
    ),
    Published(
        method="SAM ViT-B",
        split=DAVIS,
        values=_miou(0.48663271, 0.79214092, 0.87011982, 0.90946778, 0.91955869),
        source=SEGNEXT_CURVES,
        clicking=CENTER_05,
    ),
    Published(
        method="SAM ViT-B",
        split=HQSEG,
        values=_miou(0.45076172, 0.70503913, 0.79726705, 0.86276554, 0.89242394),
        source=SEGNEXT_CURVES,
        clicking=CENTER_05,
    ),
    Published(
        method="Order-Aware",
        split=DAVIS,
        values=_miou(0.8805),
        source=ORDER_AWARE,
        clicking=CENTER_2048,
    ),
    Published(
        method="Order-Aware",
        split=HQSEG,
        values=_miou(0.8957),
        source=ORDER_AWARE,
        clicking=CENTER_2048,
    ),
    *(
        Published(
            method="SAM 2.1",
            split=None,
            values=_miou(value),
            source="not known",
            clicking=RANDOM_05,
        )
        for value in (0.5315, 0.4705, 0.4236)
    ),
    Published(
        method="gPb-OWT-UCM",
        split=BSDS,
        values=_covering(0.588372, 0.646755, 0.744147),
        source="evaluation files of the authors' benchmark, BSDS500/ucm2",
    ),
    Published(
        method="MCG",
        split=BSDS,
        values=_covering(0.61, 0.67),
        source="Pont-Tuset et al. 2017, arXiv 1503.00848",
        remembered=True,
    ),
    Published(
        method="Felzenszwalb-Huttenlocher",
        split=BSDS,
        values=_covering(0.52, 0.57, 0.69),
        source=PAMI,
        remembered=True,
    ),
)
