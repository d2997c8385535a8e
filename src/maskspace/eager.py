"""Functions that torch.compile leaves as they are."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that torch.compile leaves as it is; the type stays the same.

    Example:
        >>> eager(len)([1, 2])
        2
    """
    return torch.compiler.disable(function)  # pyright: ignore[reportReturnType]
