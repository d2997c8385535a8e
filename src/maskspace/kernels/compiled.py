"""Decorators that compile loops over arrays to machine code."""

import inspect
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by numba at its first call; the result is kept beside its file.

    If that folder cannot be written to, the result is kept in the user's cache, or else each
    process compiles anew. A function that calls functions of another file is not compiled again
    when those
    change: keep them in one file. Types are checked by numba, not by the tests' checks of calls.

    Example:
        >>> import numpy as np
        >>> def total(values):
        ...     result = 0
        ...     for value in values:
        ...         result += value
        ...     return result
        >>> compiled(total)(np.arange(4))
        6
    """
    return _compiled(function, set(), "python")


def vectorised(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function `compiled` so that sums use vector instructions.

    The order of additions is the fastest one, the same at every call; a product and its sum are
    rounded once. NaN and infinities are kept, and a division by 0 gives one of them.

    Example:
        >>> import numpy as np
        >>> def scaled(values, factor):
        ...     for place in range(len(values)):
        ...         values[place] *= factor
        >>> values = np.arange(4.0)
        >>> vectorised(scaled)(values, 2.0)
        >>> values.tolist()
        [0.0, 2.0, 4.0, 6.0]
    """
    return _compiled(function, {"reassoc", "contract"}, "numpy")


def _compiled(
    function: Callable[P, R], fastmath: set[str], error_model: Literal["python", "numpy"]
) -> Callable[P, R]:
    plain = inspect.unwrap(function)
    try:
        return njit(cache=True, nogil=True, fastmath=fastmath, error_model=error_model)(plain)
    except RuntimeError:  # numba finds no folder to write to
        return njit(nogil=True, fastmath=fastmath, error_model=error_model)(plain)
