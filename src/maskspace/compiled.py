"""Loops over arrays as machine code."""

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by numba, at its first call, and kept beside its file.

    Where nothing may be written there, it is kept in the user's cache, and without one compiled by
    each process. Types that tests check at calls are numba's own business here.
    """
    plain = inspect.unwrap(function)
    try:
        return njit(cache=True, nogil=True)(plain)
    except RuntimeError:  # numba finds no folder to write to
        return njit(nogil=True)(plain)
