"""What a validation found, as JSON, as metrics and as an HTML page."""

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from maskspace.data.expectations.suites import EXPECTATIONS, Severity
from maskspace.files import write_json, write_whole


@dataclass(frozen=True)
class Where:
    """The place of a row, with a name that a person understands.

    name: such as the key of the record.
    shard: number of the shard in `Report.shards`, from 0.
    position: number of the record in the shard, from 0; -1 for a whole shard.
    mask: id of the mask; -1 for a row that is no mask.

    Example:
        >>> Where("scenes-000001", shard=0, position=1).mask
        -1
    """

    name: str
    shard: int
    position: int
    mask: int = -1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one expectation found on one table.

    table: name of the table.
    name: name of the expectation.
    severity: "error" or "warning".
    checked: rows that were checked.
    failures: rows that break the expectation.
    worst: places of the worst of these, the worst first.

    Example:
        >>> worst = (Where("scenes-000001", shard=0, position=1),)
        >>> outcome = Outcome(
        ...     table="masks", name="area", severity="error", checked=9, failures=1, worst=worst
        ... )
        >>> outcome.failures
        1
    """

    table: str
    name: str
    severity: Severity
    checked: int
    failures: int
    worst: tuple[Where, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcomes of all expectations on the shards of a dataset.

    dataset, kind: name of the dataset, and its kind: the name of its reader.
    shards: the files of the shards; places count them from 0.
    records: number of records, readable or not.
    outcomes: one for each expectation of the suite.
    bad: (shard, position) of a record -> names of the expectations of severity "error" that it
        breaks; empty without a quarantine.
    refused: key of a sample that its reader could not read, and that is in no shard -> the shard
        that it would be in, the reason.

    Example:
        >>> report = Report(dataset="toy", kind="scenes", shards=(), records=3, outcomes=(), bad={})
        >>> report.success
        True
    """

    dataset: str
    kind: str
    shards: tuple[str, ...]
    records: int
    outcomes: tuple[Outcome, ...]
    bad: Mapping[tuple[int, int], tuple[str, ...]]
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """The outcomes with failures whose severity is "error"."""
        return tuple(o for o in self.outcomes if o.failures and o.severity == "error")

    @property
    def success(self) -> bool:
        """Whether no error remains once the records in `bad` are put aside."""
        return not self.broken or bool(self.bad)

    @property
    def warnings(self) -> tuple[Outcome, ...]:
        """The outcomes with failures whose severity is "warning"."""
        return tuple(o for o in self.outcomes if o.failures and o.severity == "warning")


def metrics(report: Report) -> dict[str, object]:
    """Return the numbers of a report, nested as `dvc metrics show` reads them.

    Example:
        >>> report = Report(dataset="toy", kind="scenes", shards=(), records=3, outcomes=(), bad={})
        >>> metrics(report)["errors"]
        0
    """
    checked = {outcome.table: outcome.checked for outcome in report.outcomes}
    return {
        "checked": dict(sorted(checked.items())),
        "errors": sum(o.failures for o in report.broken),
        "warnings": sum(o.failures for o in report.warnings),
        "quarantined": len(report.bad),
        **({"refused": len(report.refused)} if report.refused else {}),
        "failures": {o.name: o.failures for o in report.outcomes},
    }


def write_report(folder: Path, report: Report) -> None:
    """Write `metrics.json`, `report.json` and `report.html`; the same report gives the same bytes.

    Args:
        folder: an existing folder.
        report: what the validation found.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> report = Report(dataset="toy", kind="scenes", shards=(), records=3, outcomes=(), bad={})
        >>> write_report(folder, report)
        >>> sorted(path.name for path in folder.iterdir())
        ['metrics.json', 'report.html', 'report.json']
    """
    outcomes = [
        {
            **asdict(outcome),
            "worst": [place.name for place in outcome.worst],
            "success": not outcome.failures,
        }
        for outcome in report.outcomes
    ]
    value = {
        "dataset": report.dataset,
        "kind": report.kind,
        "success": report.success,
        "expectations": outcomes,
    }
    write_json(folder / "report.json", value)
    write_json(folder / "metrics.json", metrics(report))
    write_whole(folder / "report.html", _page(report))


def require_valid(report: Report, *, details: Path) -> None:
    """Raise ValueError if an expectation is broken; it names a record and the expectation.

    Records in quarantine are not counted as broken.

    Args:
        report: what the validation found.
        details: the page or folder that the message points to.

    Example:
        >>> report = Report(dataset="toy", kind="scenes", shards=(), records=3, outcomes=(), bad={})
        >>> require_valid(report, details=Path("build/validate"))  # nothing is broken
    """
    for outcome in () if report.success else report.broken:
        num_others = len(report.broken) - 1
        more = f", and {outcome.failures - 1} more" if outcome.failures > 1 else ""
        rest = f"; {num_others} more expectations are broken" if num_others else ""
        raise ValueError(
            f"{outcome.worst[0].name}: breaks {outcome.name!r}{more}{rest}; see {details}, "
            "mend the data and make the shards again"
        )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #8884;padding:.3rem "
    ".6rem;text-align:left;vertical-align:top}td.n{text-align:right}"
    ".error{color:#b00020;font-weight:600}.warning{color:#8a5a00}img{max-width:100%}"
)


def _page(report: Report) -> str:
    verdict = f"{len(report.broken)} broken" if report.broken else "all hold"
    warnings = f"{len(report.warnings)} warnings" if report.warnings else "no warning"
    name = html.escape(report.dataset)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style><h1>{name}: {len(report.outcomes)} expectations, {verdict}, "
        f"{warnings}</h1><p>The suite of {html.escape(report.kind)}; {len(EXPECTATIONS)} "
        "expectations are known. Each looks at the rows of one table.</p>"
        f"{_refused(report)}<table><tr><th>table<th>expectation<th>severity<th>rows"
        "<th>broken<th>worst</tr>\n"
        + "\n".join(map(_row, report.outcomes))
        + '\n</table><p><img src="gallery.png" alt="The worst records of each broken expectation">'
        "</p></html>\n"
    )


def _refused(report: Report) -> str:
    """Return the samples that their reader refused, a line each."""
    lines = [
        f"<li>{html.escape(key)} ({html.escape(shard)}): {html.escape(why)}"
        for key, (shard, why) in report.refused.items()
    ]
    return f"<p>Refused by the reader:</p><ul>{''.join(lines)}</ul>" if lines else ""


def _row(outcome: Outcome) -> str:
    worst = html.escape("; ".join(place.name for place in outcome.worst))
    mark = f' class="{outcome.severity}"' if outcome.failures else ""
    return (
        f"<tr{mark}><td>{outcome.table}<td>{html.escape(outcome.name)}<td>{outcome.severity}"
        f'<td class="n">{outcome.checked}<td class="n">{outcome.failures}<td>{worst}</tr>'
    )
