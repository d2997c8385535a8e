"""What an evaluation leaves beside its metrics for whoever reports it: one JSON file."""

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
    """What a dataset is: the kind of its reader, and which of its own splits, None if of none.

    Example:
        >>> Origin(kind="bsds500", split="test").kind
        'bsds500'
    """

    kind: str
    split: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much a mean over masks of one model exceeds another's, with its 95 % interval.

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
    title: the head of its column in tables; "" (the default) has none.
    main: whether that column is in the main table (default), else in a section of the page alone.
    explained: one line on the page, under "How to read".
    question: what of the model it measures: embed, propose, classes, regions or click.
    curve, at: the curve that it is a point of, and where; "" (the default) is of none.

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
    compared: pairs of models, a mean each.
    pairs: by model that answers both, each image's IoU after one click and of its proposals.
    origins: what the datasets are, where it is known.
    sides: pixels a side of the squares that models bring images to.
    versions: lines of a name and what it stands for.

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
    told = json.loads(path.read_text())
    compared = told["compared"].items()
    return Findings(
        headings=[Heading(**one) for one in told["headings"]],
        images=told["images"],
        compared={name: [Comparison(**one) for one in found] for name, found in compared},
        pairs=told["pairs"],
        origins={name: Origin(**origin) for name, origin in told["origins"].items()},
        sides=told["sides"],
        versions=[(name, text) for name, text in told["versions"]],
    )
