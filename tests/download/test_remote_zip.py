import io
import struct
import zipfile

import numpy as np
import pytest

from maskspace.download import archives, remote_zip
from maskspace.download.archives import PackedFile
from maskspace.download.remote_zip import (
    RemoteArchive,
    choose_members,
    fetch_missing,
    without_folder,
)
from tests.download.web_server import drop_after, first_times, web_server

RNG = np.random.default_rng(0)
FILES = {f"s/{kind}/{n:03d}.bin": RNG.bytes(20_000) for kind in "ab" for n in range(100)}


def make_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server():
    with web_server() as running:
        running.files["s.zip"] = make_zip(FILES)
        yield running


def fetch(server, transport, folder, names) -> None:
    archive = RemoteArchive(transport, f"{server.url}/s.zip")
    members = {member.name: member for member in archive.members()}
    fetch_missing(archive, {folder / name: members[name] for name in names}, folder, transport)


def test_only_the_wanted_members_are_read(server, transport, tmp_path):
    names = ["s/a/000.bin", "s/b/050.bin", "s/b/099.bin"]
    fetch(server, transport, tmp_path, names)
    for name in names:
        assert (tmp_path / name).read_bytes() == FILES[name]
    whole = len(server.files["s.zip"])
    # three members of 20 kB, and the directory once: 4.1 MB are the zip
    assert server.served["s.zip"] < 3 * 20_100 + 2**16 and server.served["s.zip"] < 0.04 * whole
    assert all(wanted for _, wanted in server.requests)


def test_members_share_a_connection(server, transport, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(Unseekable(buffer), "w") as archive:  # sizes come after the content
        for name, content in FILES.items():
            archive.writestr(name, content)
    server.files["s.zip"] = buffer.getvalue()
    fetch(server, transport, tmp_path, list(FILES)[:20])
    assert len(server.requests) > 20 and server.connections <= 2


class Unseekable:
    """A file that a zip is streamed to."""

    def __init__(self, file: io.BytesIO) -> None:
        self.write, self.flush = file.write, file.flush


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("cut", [1, 29, 31, 9000])
def test_connections_that_drop_inside_a_member_are_gone_on_with(
    server, transport, tmp_path, method, cut
):
    server.files["s.zip"] = make_zip({"s/a": FILES["s/a/000.bin"]}, method)
    archive = RemoteArchive(transport, f"{server.url}/s.zip")
    (member,) = archive.members()
    server.faults.append(first_times(4, drop_after(cut)))
    fetch_missing(archive, {tmp_path / "a": member}, tmp_path, transport)
    assert (tmp_path / "a").read_bytes() == FILES["s/a/000.bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_members_that_are_there_are_not_fetched_again(server, transport, tmp_path):
    names = list(FILES)[:3]
    fetch(server, transport, tmp_path, names)
    (tmp_path / names[0]).write_bytes(b"?" * 20_000)
    server.requests.clear()
    fetch(server, transport, tmp_path, names)
    assert (tmp_path / names[0]).read_bytes() == FILES[names[0]]
    # the first byte, the directory, and the member that was changed
    assert len(server.requests) == 3


def test_a_directory_longer_than_the_first_read(server, transport, tmp_path):
    server.files["s.zip"] = make_zip({f"s/{n:05d}-{'x' * 60}": b"1" for n in range(1000)})
    archive = RemoteArchive(transport, f"{server.url}/s.zip")
    assert len(archive.members()) == 1000 and len(archive.members()) == 1000
    assert len(server.requests) == 3


def test_a_member_damaged_on_the_way_is_read_again(server, transport, tmp_path):
    good = make_zip({"s/a": FILES["s/a/000.bin"]}, zipfile.ZIP_STORED)
    server.files["s.zip"] = good
    archive = RemoteArchive(transport, f"{server.url}/s.zip")
    (member,) = archive.members()

    def spoil(handler):
        first, stop = handler.span(len(good))
        body = bytes([good[first]]) + good[first + 1 : stop - 1] + b"?"
        said = {"Content-Range": f"bytes {first}-{stop - 1}/{len(good)}"}
        handler.answer(206, body, said)
        return True

    server.faults.append(first_times(1, spoil))
    fetch_missing(archive, {tmp_path / "a": member}, tmp_path, transport)
    assert (tmp_path / "a").read_bytes() == FILES["s/a/000.bin"]


def test_a_member_that_stays_damaged_is_refused(server, transport, tmp_path):
    spoilt = bytearray(make_zip({"s/a": FILES["s/a/000.bin"]}, zipfile.ZIP_STORED))
    spoilt[5000] ^= 1
    server.files["s.zip"] = bytes(spoilt)
    with pytest.raises(ValueError, match=r"s/a: damaged in its archive \(Bad CRC-32"):
        fetch(server, transport, tmp_path, ["s/a"])
    assert list(tmp_path.rglob("*.*")) == []


def test_a_zip_that_changes_while_it_is_read_is_not_joined(server, transport, tmp_path):
    archive = RemoteArchive(transport, f"{server.url}/s.zip")
    member = archive.members()[0]
    server.files["s.zip"] = make_zip({"s/other": b"1"} | FILES)
    with pytest.raises(ValueError, match=r"s\.zip: changed while it was read; run again"):
        fetch_missing(archive, {tmp_path / "a": member}, tmp_path, transport)
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_ranges_is_told(server, transport):
    server.faults.append(lambda h: setattr(h, "ranges", False))
    with pytest.raises(ValueError, match=r"s\.zip: its server does not send parts of files"):
        RemoteArchive(transport, f"{server.url}/s.zip").members()


@pytest.mark.parametrize("content", [b"", b"no zip at all" * 100, b"PK\5\6" + bytes(18)])
def test_what_is_no_zip_is_told(server, transport, content):
    server.files["s.zip"] = content
    try:
        assert RemoteArchive(transport, f"{server.url}/s.zip").members() == []
    except ValueError as error:
        assert "s.zip" in str(error) and "\n" not in str(error)


def test_a_directory_that_would_fill_the_memory_is_refused(server, transport, monkeypatch):
    packed = bytearray(make_zip({f"s/{n}-{'x' * 100}": b"" for n in range(2000)}))
    server.files["s.zip"] = bytes(packed)
    monkeypatch.setattr(remote_zip, "MAX_DIRECTORY", 100_000)
    with pytest.raises(ValueError, match=r"s\.zip: a directory of \d+ bytes, the limit is 100000"):
        RemoteArchive(transport, f"{server.url}/s.zip").members()
    assert transport.progress.received <= 2**16


def test_a_bomb_is_refused_by_its_directory(server, transport, monkeypatch):
    packed = bytearray(make_zip({"s/a": b"1" * 1000}))
    start = packed.index(b"PK\1\2") + 24
    packed[start : start + 4] = struct.pack("<I", 2**32 - 2)
    server.files["s.zip"] = bytes(packed)
    with pytest.raises(ValueError, match=r"s\.zip: \d+ bytes that unpack to 4294967294"):
        RemoteArchive(transport, f"{server.url}/s.zip").members()
    assert archives.RATIO == 100


def packed(*names: str) -> dict[str, PackedFile]:
    return {name: PackedFile(name, 1, lambda: io.BytesIO(b"1")) for name in names}


def test_records_are_taken_whole_and_in_their_natural_order():
    members = packed("s/img/10.jpg", "s/img/9.jpg", "s/gt/9.png", "s/gt/10.png", "list.txt")
    chosen, count = choose_members(
        members,
        r"/(\d+)\.",
        wanted=lambda name: True,
        others=lambda name: name == "list.txt",
        limit=1,
    )
    assert set(chosen) == {"s/img/9.jpg", "s/gt/9.png", "list.txt"} and count == 1


def test_unwanted_members_make_no_record():
    members = packed("s/1.jpg", "s/2.jpg", "s/2.png", "other")
    chosen, count = choose_members(
        members,
        r"/(\d+)\.",
        wanted=lambda name: name.endswith(".png"),
        others=lambda name: False,
        limit=None,
    )
    assert set(chosen) == {"s/2.png"} and count == 1


def test_a_leading_folder_is_dropped_if_it_is_there():
    members = list(packed("D/a/1", "D/2", "E/3").values())
    assert set(without_folder(members, "D")) == {"a/1", "2"}
    assert set(without_folder(members, "F")) == {"D/a/1", "D/2", "E/3"}
