"""What is in a dataset's folders: listings whose order is always the same, and keys."""

import hashlib
import re
from collections.abc import Iterable

from maskspace.files import AnyPath, locate


def dataset_root(root: str) -> AnyPath:
    """Return a dataset's folder or file, given as a path or an fsspec URL; it has to exist."""
    path = locate(root)
    if not path.exists():
        raise ValueError(f"{root}: no such file or folder; fetch the dataset, or correct the root")
    return path


def files_by_stem(folder: AnyPath, pattern: str) -> dict[str, AnyPath]:
    """Return the files that match by their name without its last suffix, sorted by name.

    Hidden files, such as the `._x.jpg` of macOS archives, are left out. Raises ValueError where
    two files share a stem, as `x.jpg` and `x.JPG` do.
    """
    found: dict[str, AnyPath] = {}
    for path in sorted(folder.glob(pattern), key=lambda path: path.name):
        if path.name.startswith("."):
            continue
        if path.stem in found:
            raise ValueError(
                f"{path}: {found[path.stem].name} is of the same name; remove one of the two"
            )
        found[path.stem] = path
    return found


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return what sorts `sa_9` before `sa_10`."""
    pieces = re.split(r"(\d+)", name)
    # a piece between numbers sorts by its text, a number by its value and then its digits
    return tuple((int(p) if i % 2 else -1, p) for i, p in enumerate(pieces))


def safe_key(name: str) -> str:
    """Return a name as a key: other characters than [A-Za-z0-9_-] become `-`, and a hash is added.

    The hash of the whole name keeps apart what differs in those characters alone; a name that is a
    key already stays as it is.
    """
    cleaned = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    if cleaned == name:
        return name
    return f"{cleaned}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def inside(path: AnyPath, root: AnyPath) -> str:
    """Return the path relative to the root that it is under, with `/` between its parts."""
    return "/".join(path.parts[len(root.parts) :]) or path.name


def check_split(dataset: str, split: str | None, known: Iterable[str]) -> None:
    """Raise ValueError for a split that a dataset has not."""
    names = tuple(known)
    if split is not None and split not in names:
        raise ValueError(f"{dataset}: split {split!r} is unknown; choose one of {', '.join(names)}")
