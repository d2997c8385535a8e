import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from upath import UPath

from maskspace.files import (
    AnyPath,
    appearing,
    bounded_bytes,
    locate,
    open_ranged,
    read_exactly,
    size_of,
    write_json,
    write_whole,
    writing,
)

CONTENT = bytes(range(256)) * 40


@pytest.fixture(params=["path", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    """A folder of each kind that can be written to."""
    if request.param == "s3":
        return locate(f"{request.getfixturevalue('s3')}/{tmp_path.name}")
    urls = {"path": f"{tmp_path}", "file": f"file://{tmp_path}", "memory": f"memory:/{tmp_path}"}
    return locate(urls[request.param])


def names(folder: AnyPath) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_written_is_read_back_by_ranges(place: AnyPath) -> None:
    path = place / "deep" / "file.bin"
    assert size_of(path) is None
    write_whole(path, CONTENT)
    assert size_of(path) == len(CONTENT)
    file = open_ranged(path)
    assert file.read_at(300, 50) == CONTENT[300:350]
    assert file.read_at(len(CONTENT) - 5, 50) == CONTENT[-5:]
    assert file.read_at(7, 0) == b""
    assert read_exactly(file, 0, len(CONTENT), name="x") == CONTENT
    for offset in (len(CONTENT) - 5, len(CONTENT) + 5):
        with pytest.raises(ValueError, match=r"^x: "):
            read_exactly(file, offset, 6, name="x")


def test_nothing_is_left_when_the_writer_raises(place: AnyPath) -> None:
    write_json(place / "there.json", {})
    with pytest.raises(KeyError), writing(place / "file.bin") as file:
        file.write(CONTENT)
        raise KeyError
    assert names(place) == {"there.json"}


def test_a_file_is_replaced_whole_or_not_at_all(place: AnyPath) -> None:
    path = place / "file.bin"
    write_whole(path, b"old")
    with writing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and names(place) == {"file.bin"}


def test_a_local_url_is_a_plain_path(tmp_path: Path) -> None:
    assert locate(f"file://{tmp_path}") == locate(str(tmp_path)) == tmp_path
    assert isinstance(locate(UPath(tmp_path)), Path) and isinstance(locate("a/b"), Path)


def test_the_web_is_read_only(s3: str, s3_server: str) -> None:
    bucket = locate(f"{s3}/web.bin")
    write_whole(bucket, CONTENT)
    bucket.fs.chmod(bucket.path, "public-read")  # type: ignore[union-attr]
    url = locate(f"{s3_server}/maskspace-test/web.bin")
    assert open_ranged(url).read_at(10, 20) == CONTENT[10:30]
    with pytest.raises(ValueError, match=r"web\.bin: http:// is read-only"):
        write_whole(url, b"x")
    assert bucket.read_bytes() == CONTENT


def test_an_unknown_protocol_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"nope://x: no driver knows nope://"):
        locate("nope://x")


def test_a_missing_extra_is_one_line() -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from maskspace.files import locate\n"
        "locate('s3://bucket/x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    line = done.stderr.strip().splitlines()[-1]
    assert "the driver for s3:// is not installed; `pip install maskspace[s3]`" in line


def test_a_server_that_is_gone_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    url = UPath("http://127.0.0.1:9/file.bin")
    with pytest.raises(ValueError, match=r"x: cannot be read"):
        read_exactly(open_ranged(url), 0, 5, name="x")


def read_in_a_fork(path: AnyPath, queue: object) -> None:
    queue.put(open_ranged(path).read_at(3, 4))  # type: ignore[attr-defined]


def test_a_fork_opens_its_own(s3: str) -> None:
    path = locate(f"{s3}/fork.bin")
    write_whole(path, CONTENT)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    worker = context.Process(target=read_in_a_fork, args=(path, queue))
    worker.start()
    worker.join(30)
    assert worker.exitcode == 0 and queue.get() == CONTENT[3:7]


def test_what_is_written_is_there_with_its_folder_and_nothing_beside(tmp_path):
    path = tmp_path / "a" / "b" / "text"
    write_whole(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    write_whole(path, b"\x00other")
    assert path.read_bytes() == b"\x00other"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, b"as it was"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(tmp_path, before, error):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def half():
        with appearing(path) as partial:
            partial.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        half()
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [before] * (before is not None)


def test_nothing_is_seen_at_the_place_before_the_end(tmp_path):
    path = tmp_path / "file"
    with appearing(path) as partial:
        partial.write_bytes(b"all")
        assert not path.exists() and partial.parent == tmp_path
    assert path.read_bytes() == b"all" and not partial.exists()


@pytest.mark.parametrize("name", ["a" * 247, "a" * 255, "é" * 127], ids=["247", "255", "letters"])
def test_names_as_long_as_a_file_system_allows_are_written(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, "all of it")
    assert names(tmp_path) == {name}
    assert (tmp_path / name).read_text() == "all of it"


def test_files_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert bounded_bytes(path, limit=5) == b"12345"
    with pytest.raises(ValueError, match="x: 5 bytes; the limit is 4 bytes"):
        bounded_bytes(path, limit=4)
    with pytest.raises(ValueError, match="no such file; fetch"):
        bounded_bytes(tmp_path / "none", limit=4)
    with pytest.raises(ValueError, match="cannot be read"):
        bounded_bytes(tmp_path, limit=10**6)
