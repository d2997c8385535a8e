"""Read a dataset as commands name it: a kind of READERS, a place, and options as text."""

from collections.abc import Mapping

from maskspace.config import bind_texts, keyword_options, lookup
from maskspace.data import READERS
from maskspace.types import Reader

#: What a command has options of its own for.
_OWN = ("seed", "limit")


def bound_reader(kind: str, options: Mapping[str, str]) -> Reader:
    """Return the reader of a kind with options bound that are given as text.

    ValueError for an unknown kind or option, and for a value of a wrong type.

    Example:
        >>> bound_reader("folder", {"ignored": "255"}).keywords
        {'ignored': 255}
    """
    read = lookup(READERS, kind, kind="dataset kind")
    known = [name for name in keyword_options(read) if name not in _OWN]
    for name in options:
        if name not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"{kind}: unknown option {name!r}; it takes {takes}")
    return bind_texts(read, options, place=kind)
