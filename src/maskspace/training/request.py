"""What a training was asked for: kept in its folder, so that nothing else goes on there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from maskspace.files import write_whole


def require_same(path: Path, request: Mapping[str, object], *, out: Path) -> None:
    """Raise ValueError if the file holds another request than this one.

    The error names the first value that differs by its keys, such as `optimisation.steps`. Nothing
    is raised where there is no file.

    Args:
        path: the JSON file that `keep_request` wrote, or none.
        request: the settings that are asked for now.
        out: the folder that the error names.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> require_same(out / "request.json", {"steps": 3}, out=out)  # nothing was asked
        >>> keep_request(out / "request.json", {"steps": 3})
        >>> try:
        ...     require_same(out / "request.json", {"steps": 4}, out=out)
        ... except ValueError as error:
        ...     print(str(error).replace(str(out), "DIR"))
        DIR: was begun with steps 3, now 4; give another --out, or remove the folder to begin again
    """
    if not path.is_file():
        return
    values_before, values_now = (
        dict(_leaves(json.loads(one))) for one in (path.read_text(), _text(request))
    )
    for key in sorted(values_before.keys() | values_now.keys()):
        if values_before.get(key) != values_now.get(key):
            raise ValueError(
                f"{out}: was begun with {key} {values_before.get(key)}, now {values_now.get(key)}; "
                "give another --out, or remove the folder to begin again"
            )


def keep_request(path: Path, request: Mapping[str, object]) -> None:
    """Write a request to a JSON file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "request.json")
        >>> keep_request(path, {"steps": 3})
        >>> json.loads(path.read_text())
        {'steps': 3}
    """
    write_whole(path, _text(request))


def _text(request: Mapping[str, object]) -> str:
    return json.dumps(request, indent=2, sort_keys=True) + "\n"


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of nested mappings with their keys, joined by dots."""
    if not isinstance(value, dict):
        yield place, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{place}.{key}" if place else key)
