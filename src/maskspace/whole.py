"""Files that appear whole or not at all, on a file system."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there appears at `path` when the block ends, its folder too.

    If the block raises, nothing of it stays, and what was at `path` does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file in one go; text as UTF-8."""
    with appearing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
