"""What an evaluation finds beside its metrics, for its reports: one JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from maskspace.files import write_whole

FINDINGS = "findings.json"

#: A model on a dataset: metric -> number, and what explains it.
Metrics = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a dataset comes from.

    kind: its reader.
    split: which of the dataset's own splits it is; None if it has none.

    Example:
        >>> Origin(kind="bsds500", split="test").kind
        'bsds500'
    """

    kind: str
    split: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much the mean of one model exceeds that of another, with its 95 % interval.

    measure: name of the figure.
    model, other: the two models; `difference` is that of `model` less that of `other`.
    low, high: ends of the interval.
    p_value: two-sided.

    Example:
        >>> gain = Comparison(
        ...     measure="dice_at_1", model="student", other="watershed", difference=0.1, low=0.05,
        ...     high=0.15, p_value=0.01)
        >>> gain.low > 0  # the student is better, and the interval is clear of 0
        True
    """

    measure: str
    model: str
    other: str
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Heading:
    """How a number is shown.

    name: its name in metrics.json.
    title: the heading of its column in tables (default "": no column).
    main: whether that column is in the main table; if not, it is in a section of the page (default
        True).
    explained: one line on the page, under "How to read".
    question: what of the model it measures: embed, propose, classes, regions or click.
    curve, at: the curve that it is a point of, and its place there (default "": no curve).

    Example:
        >>> Heading(name="mean_best_iou_10", title="best@10", curve="mean_best_iou", at=10).title
        'best@10'
    """

    name: str
    title: str = ""
    main: bool = True
    explained: str = ""
    question: str = ""
    curve: str = ""
    at: int = 0


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found, by dataset.

    headings: how the numbers are shown, in the order of the tables.
    images: number of images that were measured.
    compared: the comparisons of all pairs of models.
    pairs: by model that answers both, each image's IoU after one click and of its proposals.
    origins: where the datasets come from, as far as it is known.
    sides: sides, in pixels, of the squares to which models resize images.
    versions: pairs of a name and its version.

    Example:
        >>> findings = Findings(
        ...     headings=[Heading(name="dice_at_1", title="Dice@1")], images={"d": 2}, compared={},
        ...     pairs={}, origins={"d": Origin(kind="rectangles", split=None)}, sides=[64],
        ...     versions=[("maskspace", "1.0")])
        >>> findings.images
        {'d': 2}
    """

    headings: Sequence[Heading]
    images: Mapping[str, int]
    compared: Mapping[str, Sequence[Comparison]]
    pairs: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
    origins: Mapping[str, Origin]
    sides: Sequence[int]
    versions: Sequence[tuple[str, str]]


def write_findings(path: Path, findings: Findings) -> None:
    """Write findings as JSON; ValueError for a number that is not finite.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> findings = Findings(
        ...     headings=[Heading(name="dice_at_1", title="Dice@1")], images={"d": 2}, compared={},
        ...     pairs={}, origins={"d": Origin(kind="rectangles", split=None)}, sides=[64],
        ...     versions=[("maskspace", "1.0")])
        >>> write_findings(folder / FINDINGS, findings)
        >>> read_findings(folder / FINDINGS).origins["d"].kind
        'rectangles'
    """
    write_whole(path, json.dumps(asdict(findings), indent=2, allow_nan=False) + "\n")


def read_findings(path: Path) -> Findings:
    """Return the findings of a file.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> findings = Findings(
        ...     headings=[Heading(name="dice_at_1", title="Dice@1")], images={"d": 2}, compared={},
        ...     pairs={}, origins={"d": Origin(kind="rectangles", split=None)}, sides=[64],
        ...     versions=[("maskspace", "1.0")])
        >>> write_findings(folder / FINDINGS, findings)
        >>> read_findings(folder / FINDINGS) == findings
        True
    """
    document = json.loads(path.read_text())
    compared = document["compared"].items()
    return Findings(
        headings=[Heading(**one) for one in document["headings"]],
        images=document["images"],
        compared={name: [Comparison(**one) for one in of_dataset] for name, of_dataset in compared},
        pairs=document["pairs"],
        origins={name: Origin(**origin) for name, origin in document["origins"].items()},
        sides=document["sides"],
        versions=[(name, text) for name, text in document["versions"]],
    )
