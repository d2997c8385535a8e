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
    """What a dataset is: the kind of its reader, and which of its own splits, None if of none."""

    kind: str
    split: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much a mean over masks of one model exceeds another's, with its 95 % interval."""

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
    question: what of the model it measures: embed, propose, regions or click.
    curve, at: the curve that it is a point of, and where; "" (the default) is of none.
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
    """

    headings: Sequence[Heading]
    images: Mapping[str, int]
    compared: Mapping[str, Sequence[Comparison]]
    pairs: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
    origins: Mapping[str, Origin]
    sides: Sequence[int]
    versions: Sequence[tuple[str, str]]


def write_findings(path: Path, findings: Findings) -> None:
    """Write findings as JSON; ValueError for a number that is not finite."""
    write_whole(path, json.dumps(asdict(findings), indent=2, allow_nan=False) + "\n")


def read_findings(path: Path) -> Findings:
    """Return the findings of a file."""
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
