"""What a training was asked for, kept beside its progress: it goes on with nothing else."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from maskspace.files import write_whole


def require_same(path: Path, asked: Mapping[str, object], *, out: Path) -> None:
    """Raise ValueError where the file says that another thing was asked before.

    The error names the first value that differs by its keys, such as `optimisation.steps`.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> require_same(out / "asked.json", {"steps": 3}, out=out)  # nothing was asked
        >>> keep_request(out / "asked.json", {"steps": 3})
        >>> try:
        ...     require_same(out / "asked.json", {"steps": 4}, out=out)
        ... except ValueError as error:
        ...     print(str(error).replace(str(out), "DIR"))
        DIR: was begun with steps 3, now 4; give another --out, or remove the folder to begin again
    """
    if not path.is_file():
        return
    before, now = (dict(_leaves(json.loads(one))) for one in (path.read_text(), _text(asked)))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise ValueError(
                f"{out}: was begun with {key} {before.get(key)}, now {now.get(key)}; "
                "give another --out, or remove the folder to begin again"
            )


def keep_request(path: Path, asked: Mapping[str, object]) -> None:
    """Write what is asked in the file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "asked.json")
        >>> keep_request(path, {"steps": 3})
        >>> json.loads(path.read_text())
        {'steps': 3}
    """
    write_whole(path, _text(asked))


def _text(asked: Mapping[str, object]) -> str:
    return json.dumps(asked, indent=2, sort_keys=True) + "\n"


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of nested mappings with their keys, joined by dots."""
    if not isinstance(value, dict):
        yield place, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{place}.{key}" if place else key)
