"""Whether files are still those that were written from the same numbers."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from maskspace.files import write_whole


def is_written(folder: Path, names: Sequence[str], stamp: str, *, record: Path) -> bool:
    """Return whether the files are unchanged since `record_written`, and the stamp is the same.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "table.txt").write_text("a table")
        >>> is_written(folder, ["table.txt"], "numbers 1", record=folder / "record.json")
        False
        >>> record_written(folder, ["table.txt"], "numbers 1", record=folder / "record.json")
        >>> is_written(folder, ["table.txt"], "numbers 1", record=folder / "record.json")
        True
        >>> is_written(folder, ["table.txt"], "numbers 2", record=folder / "record.json")
        False
    """
    with suppress(OSError, ValueError):
        return json.loads(record.read_text()) == _seen(folder, names, stamp)
    return False


def record_written(folder: Path, names: Sequence[str], stamp: str, *, record: Path) -> None:
    """Record the hashes of files, and of a stamp.

    Args:
        folder: the folder of the files.
        names: the files.
        stamp: any text that says what the files were made from.
        record: the file that holds the record.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "table.txt").write_text("a table")
        >>> record_written(folder, ["table.txt"], "numbers 1", record=folder / "record.json")
        >>> sorted(json.loads((folder / "record.json").read_text()))
        ['stamp', 'table.txt']
    """
    write_whole(record, json.dumps(_seen(folder, names, stamp)))


def _seen(folder: Path, names: Sequence[str], stamp: str) -> dict[str, str]:
    files = {name: _sha256((folder / name).read_bytes()) for name in names}
    return {"stamp": _sha256(stamp.encode()), **files}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
