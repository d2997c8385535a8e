"""Great Expectations over tables of bounded size, and the sums of their outcomes."""

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
    """One expectation as its tables come in: rows checked, rows that broke it, the worst ones.

    Of rows that are equally far from what is expected the first come first.

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

    `check` gives the rows that break each expectation, so that the caller can name them; only
    counts and the names of the worst are kept.
    """

    def __init__(self, suite: Mapping[str, tuple[Expected, Severity]], bounds: Bounds) -> None:
        self._suite = suite
        self._bounds = bounds
        self._assets: Any = None
        self.tallies = {
            name: Breaches(one.table, severity) for name, (one, severity) in suite.items()
        }

    def check(
        self, table: str, columns: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each expectation on the table that is broken, with the rows that break it."""
        names = [name for name, (one, _) in self._suite.items() if one.table == table]
        rows = len(next(iter(columns.values())))
        for name in names:
            self.tallies[name].checked += rows
        if not rows or not names:
            return
        for name, broken in zip(names, self._broken(names, columns), strict=True):
            if len(broken):
                self.tallies[name].failures += len(broken)
                yield name, broken

    def tell(
        self,
        name: str,
        rows: np.ndarray,
        columns: Mapping[str, np.ndarray],
        where: Callable[[int], Where],
    ) -> None:
        """Keep what the worst rows that break an expectation are called; `where` names a row."""
        one = self._suite[name][0]
        excess = one.excess({key: columns[key][rows] for key in one.columns}, self._bounds)
        excess = np.where(np.isnan(excess), np.inf, excess)  # no number is as far as can be
        order = np.argsort(-excess, kind="stable")[:WORST]
        tally = self.tallies[name]
        told = [(float(excess[at]), where(int(rows[at]))) for at in order]
        tally.worst = sorted([*tally.worst, *told], key=lambda one: -one[0])[:WORST]

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return what has been found so far."""
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
        os.environ["GX_ANALYTICS_ENABLED"] = "false"  # it would call home
        import great_expectations as gx
        import pandas as pd
        from great_expectations import expectations

        built = {name: self._suite[name][0].build(expectations, self._bounds) for name in names}
        for name, one in built.items():
            one.meta = {"name": name}
        used = {c for name in names for c in self._suite[name][0].columns}
        batch = self._batch(pd.DataFrame({name: columns[name] for name in sorted(used)}))
        suite = gx.ExpectationSuite(name="suite", expectations=list(built.values()))
        found: dict[str, np.ndarray] = {}
        for one in batch.validate(suite, result_format="COMPLETE").results:
            assert one.expectation_config is not None and one.expectation_config.meta is not None
            name = one.expectation_config.meta["name"]
            index = one.result.get("unexpected_index_list") or []
            if not one.success and not index:
                raise RuntimeError(f"{name}: could not be checked: {one.exception_info}")
            found[name] = np.array(index, np.int64)
        return [found[name] for name in names]

    def _batch(self, rows: "pd.DataFrame") -> "Batch":
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        if self._assets is None:
            context = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = ProgressBarsConfig(globally=False)
            asset = context.data_sources.add_pandas("shards").add_dataframe_asset("rows")
            self._assets = asset.add_batch_definition_whole_dataframe("all")
        return self._assets.get_batch({"dataframe": rows})
