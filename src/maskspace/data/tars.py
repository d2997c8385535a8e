"""Read the members of an uncompressed tar by offset; nothing is ever extracted to disk."""

import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

BLOCK = 512


@dataclass(frozen=True)
class Member:
    """A plain file in a tar: its name without a leading `./`, and where its bytes are."""

    name: str
    offset: int
    size: int


def members(path: Path) -> list[Member]:
    """Return the plain files of a tar in their order, from one pass over its headers.

    Raises ValueError for a tar that is truncated, damaged or compressed, and for a member that is
    no plain file or whose name leaves the folder it would be unpacked in.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            found = [_member(path, info) for info in archive if not info.isdir()]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; check the dataset's root") from None
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{path}: not a whole uncompressed tar ({error}); {_MEND}") from None
    _refuse_truncated(path, found)
    return found


_MEND = "fetch or write it again"


def _member(path: Path, info: tarfile.TarInfo) -> Member:
    name = PurePosixPath(info.name)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{path}:{info.name}: the name leaves the archive; do not trust this file")
    if not info.isreg() or info.issparse():
        raise ValueError(f"{path}:{info.name}: not a plain file; write the tar without links")
    return Member(str(name), info.offset_data, info.size)


def _refuse_truncated(path: Path, found: list[Member]) -> None:
    """Require the zero block that ends a tar: tarfile takes a cut at a header for the end."""
    last = found[-1] if found else Member("", 0, 0)
    end = -(-(last.offset + last.size) // BLOCK) * BLOCK
    with path.open("rb") as file:
        file.seek(end)
        tail = file.read(BLOCK)
    if len(tail) < BLOCK or any(tail):
        after = f"after {last.name}" if found else "at its start"
        raise ValueError(f"{path}: truncated or damaged {after}; {_MEND}")


def read_member(path: Path, member: Member) -> bytes:
    """Return the bytes of a member."""
    with path.open("rb") as file:
        file.seek(member.offset)
        content = file.read(member.size)
    if len(content) != member.size:
        raise ValueError(f"{path}:{member.name}: truncated; {_MEND}")
    return content
