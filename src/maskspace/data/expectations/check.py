"""Check tables of bounded size with Great Expectations, and add up the outcomes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from maskspace.data.expectations.report import Outcome, Where
from maskspace.data.expectations.suites import Bounds, Expected, Severity

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.datasource.fluent.interfaces import Batch

#: Records named in the report for each broken expectation.
WORST = 10


@dataclass
class Breaches:
    """What is known so far of one expectation.

    table: the table that the expectation looks at.
    severity: "error" or "warning".
    checked: rows checked so far.
    failures: rows that break the expectation.
    worst: pairs (excess, place) of at most WORST rows, the largest excess first. Of equal excesses
        the row that came first stands first.

    Example:
        >>> Breaches(table="masks", severity="error").failures
        0
    """

    table: str
    severity: Severity
    checked: int = 0
    failures: int = 0
    worst: list[tuple[float, Where]] = field(default_factory=list)


class Checker:
    """Checks tables against a suite, one table of any number of rows at a time.

    Call `check` for every table, `keep_worst` for every expectation that `check` yields, and
    `outcomes` at the end. Only counts and the names of the worst rows stay in memory.

    Args:
        suite: name of an expectation -> what is checked, and its severity.
        bounds: the numbers that expectations refer to by name, see `suites.Bounds`.

    Example:
        >>> from maskspace.data.expectations.suites import EXPECTATIONS
        >>> name = "scores are in [0, 1]"
        >>> checker = Checker({name: (EXPECTATIONS[name], "error")}, bounds={})
        >>> masks = {"score": np.array([0.5, 3.0, 2.0])}
        >>> for broken, rows in checker.check("masks", masks):
        ...     checker.keep_worst(broken, rows, masks, lambda row: Where(f"mask {row}", 0, row))
        >>> [where.name for where in checker.outcomes()[0].worst]
        ['mask 1', 'mask 2']
    """

    def __init__(self, suite: Mapping[str, tuple[Expected, Severity]], bounds: Bounds) -> None:
        self._suite = suite
        self._bounds = bounds
        self._assets: Any = None
        self.tallies = {
            name: Breaches(expected.table, severity) for name, (expected, severity) in suite.items()
        }

    def check(
        self, table: str, columns: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Check one table; yield each expectation that it breaks, with the rows that break it.

        Args:
            table: name of the table, one of `suites.TABLES`.
            columns: the table: name of the column -> a value for each row.
        """
        names = [n for n, (expected, _) in self._suite.items() if expected.table == table]
        rows = len(next(iter(columns.values())))
        for name in names:
            self.tallies[name].checked += rows
        if not rows or not names:
            return
        for name, broken in zip(names, self._broken(names, columns), strict=True):
            if len(broken):
                self.tallies[name].failures += len(broken)
                yield name, broken

    def keep_worst(
        self,
        name: str,
        rows: np.ndarray,
        columns: Mapping[str, np.ndarray],
        where: Callable[[int], Where],
    ) -> None:
        """Keep the places of the worst rows that break an expectation.

        Args:
            name: the expectation.
            rows: the rows that break it, as `check` yields them.
            columns: the table that was checked.
            where: returns the place of a row, with its name.
        """
        expected = self._suite[name][0]
        excess = expected.excess(
            {key: columns[key][rows] for key in expected.columns}, self._bounds
        )
        excess = np.where(np.isnan(excess), np.inf, excess)  # NaN is the worst
        worst_first = np.argsort(-excess, kind="stable")[:WORST]
        tally = self.tallies[name]
        places = [(float(excess[number]), where(int(rows[number]))) for number in worst_first]
        tally.worst = sorted([*tally.worst, *places], key=lambda place: -place[0])[:WORST]

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return the outcome of every expectation over all tables so far."""
        return tuple(
            Outcome(
                table=tally.table,
                name=name,
                severity=tally.severity,
                checked=tally.checked,
                failures=tally.failures,
                worst=tuple(where for _, where in tally.worst),
            )
            for name, tally in self.tallies.items()
        )

    def _broken(self, names: Sequence[str], columns: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return the rows that break each of the named expectations."""
        os.environ["GX_ANALYTICS_ENABLED"] = "false"  # it would send usage statistics
        import great_expectations as gx
        import pandas as pd
        from great_expectations import expectations

        built = {name: self._suite[name][0].build(expectations, self._bounds) for name in names}
        for name, expectation in built.items():
            expectation.meta = {"name": name}
        used = {c for name in names for c in self._suite[name][0].columns}
        batch = self._batch(pd.DataFrame({name: columns[name] for name in sorted(used)}))
        suite = gx.ExpectationSuite(name="suite", expectations=list(built.values()))
        broken: dict[str, np.ndarray] = {}
        for result in batch.validate(suite, result_format="COMPLETE").results:
            config = result.expectation_config
            assert config is not None and config.meta is not None
            name = config.meta["name"]
            rows = result.result.get("unexpected_index_list") or []
            if not result.success and not rows:
                raise RuntimeError(f"{name}: could not be checked: {result.exception_info}")
            broken[name] = np.array(rows, np.int64)
        return [broken[name] for name in names]

    def _batch(self, rows: "pd.DataFrame") -> "Batch":
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        if self._assets is None:
            context = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = ProgressBarsConfig(globally=False)
            asset = context.data_sources.add_pandas("shards").add_dataframe_asset("rows")
            self._assets = asset.add_batch_definition_whole_dataframe("all")
        return self._assets.get_batch({"dataframe": rows})
