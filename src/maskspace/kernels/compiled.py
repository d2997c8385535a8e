"""Loops over arrays as machine code."""

import inspect
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by numba, at its first call, and kept beside its file.

    Where nothing may be written there, it is kept in the user's cache, and without one compiled by
    each process. Types that tests check at calls are numba's own business here. One that calls
    others of another file is not compiled anew when those change: keep them together.

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
    """Return the function `compiled` so that sums go by many numbers at once.

    It adds in the order that is fast, the same at every call, and rounds a product and its sum
    once; NaN and infinities stay what they are, and what is divided by 0 becomes one of them.

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
