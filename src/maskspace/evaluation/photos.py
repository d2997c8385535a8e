"""Models on photos, side by side: what `evaluate` measures and how steady they are, a row each.

The harness is that of every evaluation (`measure_rows`); what is new is that each row is measured
by itself and kept by what made it, so that a new student costs its own row alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from maskspace.config import Choice, section
from maskspace.evaluation.config import OWN_PROTOCOL, EvaluateConfig
from maskspace.evaluation.left_out import SHARE, left_out_of, readable
from maskspace.evaluation.rows import Row, measure_rows
from maskspace.evaluation.steadiness import Steadiness, constant_deviation, kept_steadiness
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.evaluation.versions import weights_version
from maskspace.loaded import Segmenter
from maskspace.types import MapUnits


@section
class PhotoRow:
    """One row of the page.

    model: what `maskspace.load` takes: a bundled model, a folder, a peer with its options.
    rule: constants of the tree of borders in place of the model's own.
    tree: own, or features: average linkage of mean features.
    note: what a reader has to know of it.

    Example:
        >>> PhotoRow(model="student", rule={"distance": 0.0}).tree
        'own'
    """

    model: str
    rule: dict[str, float] = field(default_factory=dict)
    tree: Literal["own", "features"] = "own"
    note: str = ""


@section
class PhotosConfig:
    """A page of photos: which, what is asked of the models, and the rows.

    `reader` reads `root`, of which `split` is measured, `limit` photos at most (None: all). Truths
    of fewer than `min_area` pixels are no mask to be found; `proposal_counts`, `recall_counts` and
    `region_counts` are those of `EvaluateConfig`. Steadiness is of partitions into `regions`, and
    what lies within `frame` pixels of the frame is a band. Rows are compared with the `reference`.

    Example:
        >>> config = PhotosConfig(
        ...     reader=Choice(name="bsds500", options={}), root="BSDS500", split="val", limit=None,
        ...     min_area=256, proposal_counts=(1, 10), recall_counts=(10,), region_counts=(2, 8),
        ...     regions=24, frame=12, reference="ours", rows={"ours": PhotoRow(model="student")},
        ...     ablations={})
        >>> config.measured().proposal_limit
        10
    """

    reader: Choice
    root: str
    split: Literal["train", "val", "test"]
    limit: int | None
    min_area: int
    proposal_counts: tuple[int, ...]
    recall_counts: tuple[int, ...]
    region_counts: tuple[int, ...]
    regions: int
    frame: int
    reference: str
    rows: dict[str, PhotoRow]
    ablations: dict[str, PhotoRow]

    def __post_init__(self) -> None:
        """Refuse a reference that is no row, and a name that is given twice."""
        if self.reference not in self.rows:
            raise ValueError(f"reference: {self.reference!r} is none of {', '.join(self.rows)}")
        twice = self.rows.keys() & self.ablations.keys()
        if twice:
            raise ValueError(f"ablations: {min(twice)!r} is the name of a row, too")
        self.measured()

    def measured(self) -> EvaluateConfig:
        """Return what the harness is asked: one click at the centre and anywhere, no more."""
        return EvaluateConfig(
            limit=self.limit,
            min_area=self.min_area,
            proposal_counts=self.proposal_counts,
            recall_counts=self.recall_counts,
            region_counts=self.region_counts,
            interactive=replace(
                OWN_PROTOCOL,
                first_clickers=("center", "random"),
                first_thresholds=(0.5,),
                levels=(),
                clickers=(),
                noc_targets=(),
            ),
            collapse_std=0.0,
            gallery_images=0,
            max_left_out=SHARE,
        )


@dataclass(frozen=True, kw_only=True)
class MeasuredRow:
    """What one row of the page is made of, or why there is none.

    Example:
        >>> MeasuredRow(name="teacher", missing="no such folder").rows
        ()
    """

    name: str
    rows: Sequence[Row] = ()
    steady: Sequence[Steadiness] = ()
    constant: float | None = None
    ranking: str = ""
    version: str = ""
    missing: str = ""


def measure_photos(
    dataset: str,
    samples: Sequence,  # of samples; a checked parameter would make beartype read one
    name: str,
    model: Segmenter,
    *,
    config: PhotosConfig,
    kept: Path,
    map_units: MapUnits = map,
) -> MeasuredRow:
    """Return a model's row, of which finished photos are taken from the folder `kept`.

    The caller names the folder by what the answers come from: weights, options, code.

    Example:
        >>> config = PhotosConfig(
        ...     reader=Choice(name="bsds500", options={}), root="BSDS500", split="val", limit=None,
        ...     min_area=1, proposal_counts=(1,), recall_counts=(1,), region_counts=(2,),
        ...     regions=2, frame=1, reference="whole", rows={"whole": PhotoRow(model="whole")},
        ...     ablations={})
        >>> class Nothing(Segmenter):
        ...     name, ranking, answers = "nothing", "nothing", frozenset()
        >>> import tempfile
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> kept = Path(tempfile.mkdtemp())
        >>> row = measure_photos("d", samples, "nothing", Nothing(), config=config, kept=kept)
        >>> row.steady[0].refused
        'nothing cannot answer partition; it answers nothing'
    """
    asked = config.measured()
    rows = measure_rows(
        dataset, samples, {name: model}, config=asked, work=kept, map_units=map_units
    )
    journal = kept / f"steadiness-{dataset}-{config.regions}-{config.frame}.jsonl"
    truths = _truths(samples, left_out_of(rows), config)
    steady = kept_steadiness(model, truths, journal, regions=config.regions, frame=config.frame)
    found = list(steady)
    size_hw = next((truth.image.shape[:2] for truth in _truths(samples, {}, config)), (64, 64))
    return MeasuredRow(
        name=name,
        rows=rows,
        steady=found,
        constant=constant_deviation(model, size_hw),
        ranking=model.ranking,
        version=weights_version(model) or "",
    )


def _truths(
    samples: Sequence, left_out: Mapping[str, str], config: PhotosConfig
) -> Iterator[Truth]:
    limit = len(samples) if config.limit is None else config.limit
    for place, sample in enumerate(readable(samples, left_out)):
        if place >= limit - len(left_out):
            return
        yield read_truth(sample, min_area=config.min_area)
