"""Describe objectives for a page, in the words of their docstrings."""

import inspect
from collections.abc import Iterable

from maskspace.objectives import OBJECTIVES


def about(names: Iterable[str]) -> dict[str, str]:
    """Return for each objective the docstring of its module and of its terms.

    Example:
        >>> about(["plain"])["plain"].startswith("Push and pull to the centroid")
        True
    """
    described = {}
    for name in names:
        module = inspect.getmodule(OBJECTIVES[name])
        assert module is not None
        formulas = [
            inspect.getdoc(function) or ""
            for label, function in inspect.getmembers(module, inspect.isfunction)
            if label.endswith("_terms") and function.__module__ == module.__name__
        ]
        described[name] = "\n\n".join([inspect.getdoc(module) or "", *formulas])
    return described
