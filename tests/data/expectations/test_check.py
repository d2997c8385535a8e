import numpy as np
import pytest

from maskspace.data.expectations.check import WORST, Checker
from maskspace.data.expectations.report import Where
from maskspace.data.expectations.suites import EXPECTATIONS

NAME = "area is that of the run lengths"
SUITE = {NAME: (EXPECTATIONS[NAME], EXPECTATIONS[NAME].severity)}


def told(counted: np.ndarray, said: np.ndarray, cuts: list[int]) -> tuple[list[str], int]:
    """Return the worst rows by name, and how many are broken, of a table checked in pieces."""
    checker = Checker(SUITE, {})
    for rows in np.split(np.arange(len(said)), cuts):
        columns = {"area": said[rows], "counted_area": counted[rows]}
        for name, broken in checker.check("masks", columns):
            names = [str(row) for row in rows]
            checker.keep_worst(name, broken, columns, lambda row, n=names: Where(n[row], 0, 0))
    (outcome,) = checker.outcomes()
    return [where.name for where in outcome.worst], outcome.failures


@pytest.mark.parametrize("cuts", [[], [20], [1, 2, 39]])
def test_the_worst_are_told_whatever_the_pieces(cuts):
    rng = np.random.default_rng(0)
    counted = rng.integers(1, 1000, 40)
    off = rng.integers(-5, 6, 40) * 10
    order = np.argsort(-np.abs(off), kind="stable")
    expected = [str(row) for row in order if off[row]]
    assert told(counted, counted + off, cuts) == (expected[:WORST], len(expected))
