"""Functions that run as they are written, left out of what torch compiles."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function left out of what torch compiles, and its type.

    Example:
        >>> eager(len)([1, 2])
        2
    """
    return torch.compiler.disable(function)  # pyright: ignore[reportReturnType]
