"""What evaluation reads from params.yaml, and the protocols that the command offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from maskspace.config import lookup, section
from maskspace.data.clicks import CLICKERS
from maskspace.evaluation.left_out import SHARE
from maskspace.partition.image_editor import CLICK_RULES


@dataclass(frozen=True, kw_only=True)
class ClickRun:
    """One way of clicking all masks.

    After every click the mask is where the probability is above the threshold; the next click is
    placed by that mask.

    clicker: how clicks are placed, one of CLICKERS.
    threshold: where probabilities are cut, in (0, 1).
    mode: how further clicks are answered, a rule of `ImageEditor`.
    clicks: clicks on a mask at most.

    Example:
        >>> ClickRun(clicker="center", threshold=0.5, mode="claims", clicks=1).name
        'center'
        >>> ClickRun(clicker="random", threshold=0.49, mode="iterative", clicks=20).name
        'random_049_iterative'
    """

    clicker: str
    threshold: float
    mode: str
    clicks: int

    @property
    def name(self) -> str:
        """Return its name in metrics: "center", "center_049", "random_049_iterative"."""
        cut = "" if self.threshold == 0.5 else f"_{f'{self.threshold:g}'.replace('.', '')}"
        return f"{self.clicker}{cut}{'' if self.mode == 'claims' else f'_{self.mode}'}"


@section
class InteractiveConfig:
    """How models are clicked.

    Args:
        protocol: the name of the protocol in reports.
        first_clickers: clickers that make one click.
        first_thresholds: where the maps of these clicks are cut, each in (0, 1).
        levels: these maps are also cut at the best of all these levels, mask by mask; each in (0,
            1).
        clickers: clickers that make up to `max_clicks`.
        thresholds: where the maps of these clicks are cut, each in (0, 1).
        modes: how their further clicks are answered, rules of `ImageEditor`.
        max_clicks: clicks on a mask at most, >= 1.
        target_iou: a run on a mask ends at this IoU, in (0, 1.01]. With 1 a perfect mask is clicked
            no further, and its IoU stands for the remaining clicks; above 1 no run ends early.
        noc_targets: IoUs to which clicks are counted, each at most `target_iou`.
        seed: of the clicks that are drawn at random.
        cases: worst, median and best cases that are shown, so many of each.

    Example:
        >>> [run.name for run in OWN_PROTOCOL.runs][:3]
        ['center', 'center_049', 'random']
        >>> SEGNEXT_PROTOCOL.described
        'segnext: 20 center at p > 0.49 by iterative clicks, to IoU 1.01'
    """

    protocol: str
    first_clickers: tuple[str, ...]
    first_thresholds: tuple[float, ...]
    levels: tuple[float, ...]
    clickers: tuple[str, ...]
    thresholds: tuple[float, ...]
    modes: tuple[str, ...]
    max_clicks: int
    target_iou: float
    noc_targets: tuple[float, ...]
    seed: int
    cases: int

    def __post_init__(self) -> None:
        """Refuse unknown names and values outside these ranges."""
        for name, known in (
            ("first_clickers", CLICKERS),
            ("clickers", CLICKERS),
            ("modes", CLICK_RULES),
        ):
            unknown = [value for value in getattr(self, name) if value not in known]
            if unknown:
                raise ValueError(f"{name}: {unknown[0]!r} is unknown; choose of {', '.join(known)}")
        for name in ("first_thresholds", "thresholds", "levels"):
            if any(not 0 < level < 1 for level in getattr(self, name)):
                raise ValueError(f"{name}: each in (0, 1); got {getattr(self, name)}")
        if self.max_clicks < 1:
            raise ValueError(f"max_clicks: 1 or more; got {self.max_clicks}")
        if not 0 < self.target_iou <= 1.01:
            raise ValueError(f"target_iou: in (0, 1.01]; got {self.target_iou}")
        for target in self.noc_targets:
            if not 0 < target <= min(1, self.target_iou):
                raise ValueError(
                    f"noc_targets: each in (0, 1] and at most target_iou; got {target}"
                )

    @property
    def runs(self) -> tuple[ClickRun, ...]:
        """Return every run once: those of one click first, unless they also make more clicks."""
        clicks_of_run = {
            (clicker, threshold, "claims"): 1
            for clicker in self.first_clickers
            for threshold in self.first_thresholds
        }
        clicks_of_run |= {
            (clicker, threshold, mode): self.max_clicks
            for clicker in self.clickers
            for threshold in self.thresholds
            for mode in self.modes
        }
        return tuple(
            ClickRun(clicker=clicker, threshold=threshold, mode=mode, clicks=clicks)
            for (clicker, threshold, mode), clicks in clicks_of_run.items()
        )

    @property
    def described(self) -> str:
        """Return the protocol in words: its name, its clicks and when they end."""
        ways = [
            f"{run.clicks} {run.clicker} at p > {run.threshold:g}"
            + (f" by {run.mode}" if run.clicks > 1 else "")
            for run in self.runs
        ]
        return f"{self.protocol}: {', '.join(ways) or 'no'} clicks, to IoU {self.target_iou:g}"

    @property
    def headline(self) -> ClickRun | None:
        """Return the run of the per-image table, the scatter and the cases, if there is any."""
        runs = {run.name: run for run in self.runs}
        return runs.get("center", next(iter(runs.values()), None))


@section
class EvaluateConfig:
    """How models are measured.

    Args:
        limit: images of a dataset at most; None: all.
        min_area: least pixels of a true mask, >= 1; smaller ones are left out.
        proposal_counts: numbers of proposals at which the curve of best IoU is measured, ascending.
        recall_counts: numbers of proposals of COCO's average recall, ascending.
        region_counts: numbers of regions that a tree is cut into for covering, Rand index and
            variation of information, ascending; empty: they are not measured.
        interactive: how models are clicked.
        collapse_std: features with a lower standard deviation are a constant output.
        gallery_images: images of a dataset that are shown.
        max_left_out: share of a dataset's images, in [0, 1), that may be left out because they
            cannot be measured; unless it is 0, one image may always be.

    Example:
        >>> PROTOCOLS["maskspace"].headline_count, PROTOCOLS["maskspace"].proposal_limit
        (50, 100)
    """

    limit: int | None
    min_area: int
    proposal_counts: tuple[int, ...]
    recall_counts: tuple[int, ...]
    region_counts: tuple[int, ...]
    interactive: InteractiveConfig
    collapse_std: float
    gallery_images: int
    max_left_out: float

    def __post_init__(self) -> None:
        """Refuse values outside these ranges."""
        if not self.proposal_counts:
            raise ValueError("proposal_counts: the curve needs one budget or more")
        for name in ("proposal_counts", "recall_counts", "region_counts"):
            counts = getattr(self, name)
            if any(count < 1 for count in counts) or sorted(set(counts)) != list(counts):
                raise ValueError(f"{name}: budgets are 1 or more and ascending; got {counts}")
        if self.min_area < 1:
            raise ValueError(f"min_area: a mask has 1 pixel or more; got {self.min_area}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: 1 or more images, or null for all; got {self.limit}")
        if not 0 <= self.max_left_out < 1:
            raise ValueError(f"max_left_out: a share in [0, 1); got {self.max_left_out}")

    @property
    def described(self) -> str:
        """Return the protocol in words: its name, and what it stands for here."""
        return f"{self.interactive.described}; masks of {self.min_area} pixels or more"

    @property
    def proposal_limit(self) -> int:
        """Return the largest number of proposals that any measure needs."""
        return max(*self.proposal_counts, *self.recall_counts, 1)

    @property
    def headline_count(self) -> int:
        """Return the budget of the per-image table and the scatter: 50, or the largest there is."""
        return 50 if 50 in self.proposal_counts else max(self.proposal_counts)


#: Ours: the object's centre and anywhere inside it, cut at a half and where the field cuts.
OWN_PROTOCOL = InteractiveConfig(
    protocol="maskspace",
    first_clickers=("center", "random", "inner"),
    first_thresholds=(0.5, 0.49),
    levels=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    clickers=("center",),
    thresholds=(0.5,),
    modes=("claims",),
    max_clicks=1,
    target_iou=1.0,
    noc_targets=(0.85, 0.9, 0.95),
    seed=0,
    cases=2,
)
#: The published one, with the target that lets every click be made: mIoU@k for every k.
SEGNEXT_PROTOCOL = replace(
    OWN_PROTOCOL,
    protocol="segnext",
    first_clickers=(),
    levels=(),
    thresholds=(0.49,),
    modes=("iterative",),
    max_clicks=20,
    target_iou=1.01,
)
#: Numbers of regions that trees are cut into: about evenly spread in their logarithm.
REGION_COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 65, 80, 100, 150, 200, 300)
#: What `maskspace evaluate` measures, by the name of a protocol. A mask without a pixel is left out
#: of the published one too: there its IoU is 0/0.
PROTOCOLS: Mapping[str, EvaluateConfig] = {
    name: EvaluateConfig(
        limit=None,
        min_area=min_area,
        proposal_counts=(1, 2, 5, 10, 20, 50, 100),
        recall_counts=(1, 10, 100),
        region_counts=REGION_COUNTS,
        interactive=interactive,
        collapse_std=1e-3,
        gallery_images=6,
        max_left_out=SHARE,
    )
    for name, min_area, interactive in (
        ("maskspace", 256, OWN_PROTOCOL),
        ("segnext", 1, SEGNEXT_PROTOCOL),
    )
}


def protocol_config(
    name: str,
    *,
    limit: int | None = None,
    clicks: int | None = None,
    clickers: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    max_left_out: float = SHARE,
    min_area: int | None = None,
    proposals: int | None = None,
) -> EvaluateConfig:
    """Return a protocol, with the given values in place of its own.

    Args:
        name: one of PROTOCOLS.
        limit: measure the first images only, so many (default None: all).
        clicks: clicks on a mask at most (default None: the protocol's).
        clickers: how clicks are placed (default None: the protocol's).
        modes: how further clicks are answered (default None: the protocol's).
        max_left_out: share of the images that may be left out (default 0.05).
        min_area: least pixels of a true mask (default None: the protocol's).
        proposals: the largest number of proposals; larger ones of the protocol are dropped (default
            None: the protocol's).

    Example:
        >>> config = protocol_config("segnext", limit=10, clicks=3)
        >>> config.limit, config.interactive.max_clicks
        (10, 3)
    """
    base = lookup(PROTOCOLS, name, kind="protocol")
    of_protocol = base.interactive
    chosen = tuple(clickers or of_protocol.clickers)
    interactive = replace(
        of_protocol,
        first_clickers=chosen
        if clickers and of_protocol.first_clickers
        else of_protocol.first_clickers,
        clickers=chosen,
        modes=tuple(modes or of_protocol.modes),
        max_clicks=clicks or of_protocol.max_clicks,
    )
    most = proposals or base.proposal_limit
    return replace(
        base,
        limit=limit,
        min_area=min_area or base.min_area,
        proposal_counts=_up_to(most, base.proposal_counts),
        recall_counts=tuple(count for count in base.recall_counts if count <= most),
        interactive=interactive,
        max_left_out=max_left_out,
    )


def _up_to(most: int, counts: Sequence[int]) -> tuple[int, ...]:
    return (*(count for count in counts if count < most), most)


@section
class SelectConfig:
    """How trials of a sweep are compared: by mean best IoU of proposals on the validation split.

    Args:
        limit: images of a dataset at most; None: all.
        min_area: least pixels of a true mask.
        proposals: number of proposals.
        decoder_factors: what a model's decoder groups by (a bandwidth, a threshold) is also tried
            times each of these, > 0.

    Example:
        >>> select = SelectConfig(limit=24, min_area=256, proposals=50, decoder_factors=())
        >>> select.metric, select.measured().proposal_counts
        ('mean_best_iou_50', (50,))
    """

    limit: int | None
    min_area: int
    proposals: int
    decoder_factors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse factors of 0 and below."""
        if any(factor <= 0 for factor in self.decoder_factors):
            raise ValueError(f"decoder_factors are above 0; got {self.decoder_factors}")

    @property
    def metric(self) -> str:
        """Return the name of the metric that decides."""
        return f"mean_best_iou_{self.proposals}"

    def measured(self) -> EvaluateConfig:
        """Return the settings that measure this metric and nothing else."""
        return EvaluateConfig(
            limit=self.limit,
            min_area=self.min_area,
            proposal_counts=(self.proposals,),
            recall_counts=(),
            region_counts=(),
            interactive=replace(OWN_PROTOCOL, first_clickers=(), clickers=()),
            collapse_std=0.0,
            gallery_images=0,
            max_left_out=SHARE,
        )
