"""Listings of a dataset's folders, always in the same order, and keys made of names."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from maskspace.files import AnyPath, locate

#: What stores call the version of a file's content.
_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")


def dataset_root(root: str) -> AnyPath:
    """Return a dataset's folder or file, given as a path or an fsspec URL; it must exist.

    Example:
        >>> import tempfile
        >>> dataset_root(tempfile.mkdtemp()).is_dir()
        True
        >>> dataset_root("no/such/folder")
        Traceback (most recent call last):
            ...
        ValueError: no/such/folder: no such file or folder; fetch the dataset, or correct the root
    """
    path = locate(root)
    if not path.exists():
        raise ValueError(f"{root}: no such file or folder; fetch the dataset, or correct the root")
    return path


def files_by_stem(folder: AnyPath, pattern: str) -> dict[str, AnyPath]:
    """Return the matching files by their name without its last suffix, sorted by name.

    Capital letters match small ones. Hidden files, such as the `._x.jpg` of macOS archives, are
    left out. ValueError if two files share a stem, such as `x.jpg` and `x.JPG`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.JPG", "a.jpg", "._a.jpg", "a.txt"):
        ...     folder.joinpath(name).touch()
        >>> list(files_by_stem(folder, "*.jpg"))
        ['a', 'b']
    """
    by_stem: dict[str, AnyPath] = {}
    paths = folder.iterdir() if folder.is_dir() else ()
    for path in sorted(paths, key=lambda path: path.name):
        if path.name.startswith(".") or not fnmatch(path.name.lower(), pattern):
            continue
        if path.stem in by_stem:
            raise ValueError(
                f"{path}: {by_stem[path.stem].name} is of the same name; remove one of the two"
            )
        by_stem[path.stem] = path
    return by_stem


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts `sa_9` before `sa_10`.

    Example:
        >>> sorted(["sa_10", "sa_9"], key=natural)
        ['sa_9', 'sa_10']
    """
    pieces = re.split(r"(\d+)", name)
    # a piece between numbers sorts by its text, a number by its value and then its digits
    return tuple((int(p) if i % 2 else -1, p) for i, p in enumerate(pieces))


def files_stamp(root: AnyPath) -> str:
    """Return a hash of the names, sizes and times of change of all files under a root.

    At a URL they are taken from the store's listing. Links to folders are followed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> before = files_stamp(folder)
        >>> folder.joinpath("a.txt").touch()
        >>> files_stamp(folder) == before
        False
    """
    digest = hashlib.sha256()
    if isinstance(root, Path):
        for file in [root] if root.is_file() else sorted(_files_under(root)):
            status = file.stat()
            digest.update(os.fsencode(file.relative_to(root)))
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    listed: dict[str, dict] = root.fs.find(root.path, detail=True)  # pyright: ignore[reportAssignmentType]
    for name, entry in sorted(listed.items()):
        versions = [str(entry[key]) for key in ("size", *_VERSIONS) if key in entry]
        digest.update(json.dumps([name, versions]).encode())
    return digest.hexdigest()


def _files_under(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (path for name in names if (path := Path(place, name)).exists())


def safe_key(name: str) -> str:
    """Return a name as a key: characters outside [A-Za-z0-9_-] become `-`, and a hash is added.

    The hash of the whole name separates names that differ in those characters alone. A name that is
    a key already stays as it is.

    Example:
        >>> safe_key("img_7"), safe_key("img 7")
        ('img_7', 'img-7-363841a0')
    """
    cleaned = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    if cleaned == name:
        return name
    return f"{cleaned}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def inside(path: AnyPath, root: AnyPath) -> str:
    """Return a path relative to the root that it is under, with `/` between its parts.

    Bytes that are no UTF-8 become hexadecimal numbers after a backslash.

    Example:
        >>> inside(Path("/data/photos/a/b.jpg"), Path("/data/photos"))
        'a/b.jpg'
    """
    text = "/".join(path.parts[len(root.parts) :]) or path.name
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class NoSplitError(ValueError):
    """A source has not the split that was asked for; `known` are those it has, none of a whole.

    Example:
        >>> NoSplitError("toy has no test split", ["val", None, "train"]).known
        ('train', 'val')
    """

    def __init__(self, message: str, known: Iterable[str | None]) -> None:
        super().__init__(message)
        self.known = tuple(sorted({one for one in known if one is not None}))


#: The words that name a split.
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_in(name: str) -> str | None:
    """Return the split that a name says in a word of its own, None where none or several do.

    Words end at whatever is no letter and at a capital: `instances_val2017` and `cityTrain` say
    one, `latest` and `minival` do not, `train_and_val` says two.

    Example:
        >>> split_in("instances_val2017"), split_in("latest")
        ('val', None)
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    said = {SPLIT_WORDS[word.lower()] for word in words if word.lower() in SPLIT_WORDS}
    return said.pop() if len(said) == 1 else None


def distinct_keys(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return a key for each of several things: the first of its names that no other one has.

    The names of a thing go from the shortest to the one that is surely its own, such as a path.

    Example:
        >>> distinct_keys([("a", "train-a"), ("a", "val-a"), ("b", "val-b")])
        ('train-a', 'val-a', 'b')
    """
    keys: list[str | None] = [None] * len(names)
    taken: set[str] = set()
    for level in range(max(map(len, names), default=0)):
        left = [i for i, key in enumerate(keys) if key is None]
        found = {i: safe_key(names[i][min(level, len(names[i]) - 1)]) for i in left}
        times = Counter(found.values())
        for i, key in found.items():
            if times[key] == 1 and key not in taken:
                keys[i] = key
                taken.add(key)
    return tuple(key or safe_key(own[-1]) for key, own in zip(keys, names, strict=True))


def check_split(dataset: str, split: str | None, known: Iterable[str]) -> None:
    """Raise ValueError for a split that a dataset has not.

    Example:
        >>> check_split("toy", "test", ["train", "val"])
        Traceback (most recent call last):
            ...
        maskspace.data.listings.NoSplitError: toy: split 'test' is unknown; choose one of train, val
        >>> check_split("toy", None, ["train", "val"])  # None: all splits
    """
    names = tuple(known)
    if split is not None and split not in names:
        raise NoSplitError(
            f"{dataset}: split {split!r} is unknown; choose one of {', '.join(names)}", names
        )
