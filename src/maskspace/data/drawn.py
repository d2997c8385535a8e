"""Readers that generate their samples: they need a limit, and their truth is exact."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def drawn(reader: Callable[P, R]) -> Callable[P, R]:
    """Mark a reader as one that generates its samples.

    Example:
        >>> @drawn
        ... def read_squares(root, *, seed, limit): ...
        >>> is_drawn(read_squares)
        True
    """
    reader.is_drawn = True  # pyright: ignore[reportFunctionMemberAccess]
    return reader


def is_drawn(reader: Callable[..., object]) -> bool:
    """Return whether a reader generates its samples.

    Example:
        >>> from maskspace.data import READERS
        >>> is_drawn(READERS["rectangles"]), is_drawn(READERS["coco"])
        (True, False)
    """
    return getattr(reader, "is_drawn", False)
