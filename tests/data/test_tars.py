import io
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from maskspace.data.tars import Member, members, read_member
from maskspace.files import locate


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


FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.mark.parametrize("form", FORMATS)
def test_every_dialect_lists_what_tarfile_lists(tmp_path: Path, form: str) -> None:
    rng = random.Random(form)
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w", format=FORMATS[form]) as archive:
        for number in range(60):
            length = rng.choice([3, 50, 99, 100, 101, 140, 180 if form == "ustar" else 400])
            stem = "".join(rng.choices("abcdefgh", k=length))
            name = f"{stem[: length // 2]}/{stem[length // 2 :]}{number:02d}"
            if form != "ustar" and number % 7 == 0:
                name += "é"
            info = tarfile.TarInfo(name)
            info.size, info.mtime = rng.choice([0, 1, 511, 512, 513, 5000, 70_000]), 1.5
            info.type = tarfile.DIRTYPE if number % 11 == 0 else tarfile.REGTYPE
            # a folder may say a size, and has no content all the same
            archive.addfile(info, io.BytesIO(rng.randbytes(info.size)) if info.isreg() else None)
    with tarfile.open(path) as archive:
        files = [info for info in archive if info.isreg()]
    expected = [(info.name, info.offset_data, info.size) for info in files]
    assert [(m.name, m.offset, m.size) for m in members(path)] == expected


def test_sizes_above_8_gib_are_read_from_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    for form in FORMATS.values():
        if form == tarfile.USTAR_FORMAT:
            continue
        info = tarfile.TarInfo("big")
        info.size = 9 * 2**30 + 1
        header = info.tobuf(form)
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + info.size + 511 + 1024)
        assert members(path) == [Member("big", len(header), info.size)]


def test_a_scan_gives_the_same_at_every_url(tmp_path: Path, s3: str) -> None:
    path = write_tar(tmp_path / "t.tar", FILES)
    content, expected = path.read_bytes(), members(path)
    for url in (f"file://{path}", f"memory:/{path}", f"{s3}/tars/t.tar"):
        place = locate(url)
        place.write_bytes(content)
        assert members(place) == expected
        assert [read_member(place, m) for m in expected] == list(FILES.values())
        place.write_bytes(content[:900])
        with pytest.raises(ValueError, match=r"t\.tar: .*again"):
            members(place)


def special(kind: bytes, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo("member")
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        archive.addfile(special(kind, linkname="/etc/passwd"))
    with pytest.raises(ValueError, match="not a plain file"):
        members(tmp_path / "t.tar")


def test_a_sparse_member_of_a_pax_archive_is_refused(tmp_path: Path) -> None:
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.name": "real", "GNU.sparse.realsize": "99"}
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(special(tarfile.REGTYPE, pax_headers=sparse))
    with pytest.raises(ValueError, match="not a plain file"):
        members(tmp_path / "t.tar")


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil" + "x" * 200])
def test_a_long_name_that_leaves_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "t.tar", "w", format=form) as archive:
            archive.addfile(special(tarfile.REGTYPE, name=name))
        with pytest.raises(ValueError, match="leaves the archive"):
            members(tmp_path / "t.tar")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_of_a_gigabyte_is_refused_unread(tmp_path: Path, kind: bytes) -> None:
    info = special(kind, size=2**30)
    path = tmp_path / "t.tar"
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**30 + 2048)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"t\.tar: .*a header of 1073741824 bytes"):
        members(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_sizes_that_no_file_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    for size in (b"\x80" + b"\xff" * 11, b"\xff" * 12, b"77777777777\0", b"-7777777777\0"):
        header = bytearray(special(tarfile.REGTYPE).tobuf(tarfile.USTAR_FORMAT))
        header[124:136] = size
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 256)
        path.write_bytes(bytes(header) + bytes(2048))
        with pytest.raises(ValueError, match=r"t\.tar: .*again"):
            members(path)


def test_any_damaged_byte_of_a_header_is_told_or_harmless(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", FILES)
    content, expected = path.read_bytes(), members(path)
    for place in range(0, 512, 3):
        damaged = bytearray(content)
        damaged[1024 + place] ^= 0x41
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"t\.tar: .*again"):
            members(path)
    path.write_bytes(content)
    assert members(path) == expected


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_one_line(tmp_path: Path, kind: str) -> None:
    with tarfile.open(tmp_path / "t.tar", f"w:{kind}") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(ValueError, match="no uncompressed tar"):
        members(tmp_path / "t.tar")
