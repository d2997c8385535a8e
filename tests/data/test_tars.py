import io
import tarfile
from pathlib import Path

import pytest

from maskspace.data.tars import members, read_member


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


FILES = {"./a.txt": b"one", "folder/b": b"x" * 700, "c": b""}


def test_every_member_is_read_by_offset(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", FILES)
    found = {member.name: read_member(path, member) for member in members(path)}
    assert found == {"a.txt": b"one", "folder/b": b"x" * 700, "c": b""}


def test_a_tar_cut_anywhere_before_its_end_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", FILES)
    content = path.read_bytes()
    end = 512 + 512 + 512 + 1024 + 512
    for size in [*range(0, end, 128), end + 100]:
        cut = tmp_path / "cut.tar"
        cut.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"cut\.tar: .*again"):
            members(cut)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", FILES)
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.tar: .*again"):
        members(path)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_name_that_leaves_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path / "t.tar", {name: b"x"})
    with pytest.raises(ValueError, match="leaves the archive"):
        members(path)


def test_links_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ValueError, match="not a plain file"):
        members(tmp_path / "t.tar")


def test_a_missing_or_compressed_tar_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        members(tmp_path / "none.tar")
    with tarfile.open(tmp_path / "z.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(ValueError, match="uncompressed"):
        members(tmp_path / "z.tar")
