import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from maskspace.download.fetching import NoRoomError, fetch_file, partial_paths
from maskspace.download.transport import StoppedError, Throttle, Transport
from tests.download.web_server import drop_after, first_times, web_server

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def server():
    with web_server() as running:
        running.files["a.bin"] = CONTENT
        yield running


@pytest.fixture
def transport():
    with Transport(attempts=3, backoff=0.01, timeout=5.0, show=False) as made:
        yield made


def leave_partial(server, transport, path, *, count=100_000):
    """Fetch `count` bytes, then fail."""
    drops = [drop_after(count), drop_after(0), drop_after(0), drop_after(0)]
    faults = iter(drops)
    server.faults[:] = [lambda h: next(faults)(h)]
    with pytest.raises(ValueError, match="run again"):
        fetch_file(transport, f"{server.url}/a.bin", path)
    server.faults.clear()
    server.requests.clear()
    assert not path.exists() and partial_paths(path)[0].read_bytes() == CONTENT[:count]


def test_a_file_appears_whole_and_alone(server, transport, tmp_path):
    path = tmp_path / "new" / "a.bin"
    assert fetch_file(transport, f"{server.url}/a.bin", path) == path
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert transport.progress.received == len(CONTENT)


def test_a_later_run_goes_on_where_an_earlier_one_ended(server, transport, tmp_path):
    path = tmp_path / "a.bin"
    leave_partial(server, transport, path)
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("a.bin", "bytes=100000-")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_changed_between_runs_begins_anew(server, transport, tmp_path):
    path = tmp_path / "a.bin"
    leave_partial(server, transport, path)
    server.files["a.bin"] = CONTENT[::-1]
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT[::-1]


def test_a_file_that_became_shorter_begins_anew(server, transport, tmp_path):
    path = tmp_path / "a.bin"
    leave_partial(server, transport, path)
    server.files["a.bin"] = CONTENT[:50]
    server.faults.append(first_times(1, lambda h: h.answer(416, b"") or True))
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT[:50]


@pytest.mark.parametrize("etags", [True, False])
def test_a_server_without_ranges_or_versions_begins_anew(server, transport, tmp_path, etags):
    path = tmp_path / "a.bin"
    leave_partial(server, transport, path)
    server.etags = etags
    server.faults.append(lambda h: setattr(h, "ranges", False))
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT


def test_without_a_version_nothing_is_gone_on_with(server, transport, tmp_path):
    server.etags = False
    path = tmp_path / "a.bin"
    leave_partial(server, transport, path)
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT and server.requests == [("a.bin", None)]


def test_a_file_that_changes_all_the_time_is_given_up(server, transport, tmp_path):
    def change(handler):
        handler.cut = 5000
        server.files["a.bin"] = np.random.default_rng(len(server.requests)).bytes(90_000)

    server.faults.append(change)
    with pytest.raises(ValueError, match="keeps changing"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_says_nonsense_is_not_believed(server, transport, tmp_path):
    path = tmp_path / "a.bin"
    for note in (b"{", b"[]", b'{"size": 3}', b'{"etag": 1}'):
        partial, beside = partial_paths(path)
        partial.write_bytes(b"wrong")
        beside.write_bytes(note)
        fetch_file(transport, f"{server.url}/a.bin", path)
        assert path.read_bytes() == CONTENT


def test_a_finished_partial_is_not_fetched_again(server, transport, tmp_path):
    path = tmp_path / "a.bin"
    leave_partial(server, transport, path)
    partial_paths(path)[0].write_bytes(CONTENT)
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT and server.requests == []


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_hashes_are_checked(server, transport, tmp_path, kind):
    url, path = f"{server.url}/a.bin", tmp_path / "a.bin"
    digest = f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}"
    fetch_file(transport, url, path, size=len(CONTENT), digest=digest)
    path.unlink()
    server.files["a.bin"] = CONTENT[:-1] + b"?"
    with pytest.raises(ValueError, match=rf"a\.bin: its {kind} is .*what was fetched is removed"):
        fetch_file(transport, url, path, digest=digest)
    assert list(tmp_path.iterdir()) == []


def test_another_size_is_told_before_anything_is_written(server, transport, tmp_path):
    with pytest.raises(ValueError, match="has 300000 bytes, 299999 are expected"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin", size=299_999)
    assert list(tmp_path.iterdir()) == []


def test_a_body_cut_at_an_unknown_size_is_caught_by_the_expected_one(server, transport, tmp_path):
    def unsized(handler):
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000])
        return True

    server.faults.append(unsized)
    with pytest.raises(ValueError, match="has 1000 bytes, 300000 are expected"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin", size=len(CONTENT))
    assert list(tmp_path.iterdir()) == []


def test_a_body_without_an_end_is_left_at_the_expected_size(server, transport, tmp_path):
    sent = []

    def endless(handler):
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):  # the client hangs up
            while sum(sent) < 100_000_000:
                sent.append(handler.wfile.write(CONTENT))
        return True

    server.faults.append(endless)
    with pytest.raises(ValueError, match="sends more than the 200000 bytes that are expected"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin", size=200_000)
    assert list(tmp_path.iterdir()) == []
    assert transport.progress.received < 300_000 and sum(sent) < 100_000_000


def test_content_can_be_checked_before_it_has_its_name(server, transport, tmp_path):
    def refuse(path):
        raise ValueError(f"{path}: no tar")

    with pytest.raises(ValueError, match=rf"^{server.url}/a\.bin: no tar"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin", check=refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_file_larger_than_the_disk_is_told_with_its_size(server, transport, tmp_path):
    server.faults.append(lambda h: h.answer(200, b"", {"Content-Length": str(10**17)}) or True)
    with pytest.raises(NoRoomError, match=r"needs 100000000000000000 bytes, the disk has \d+ free"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_told_and_the_rest_is_kept(server, transport, tmp_path):
    partial, _ = partial_paths(tmp_path / "a.bin")
    partial.symlink_to("/dev/full")
    with pytest.raises(NoRoomError, match=r"needs 300000 bytes, the disk is full"):
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin")


class NotedThrottle(Throttle):
    """A throttle that knows how much has passed, and may stop there."""

    def __init__(self, rate: int | None, *, stopping: threading.Event, end: int = 10**9) -> None:
        super().__init__(rate, stopping=stopping)
        self.passed, self.end, self.stopping = 0, end, stopping

    def take(self, count: int) -> None:
        self.passed += count
        if self.passed >= self.end:
            self.stopping.set()
        super().take(count)


def test_every_byte_passes_the_throttle(server, tmp_path):
    with Transport(show=False) as transport:
        transport.throttle = NotedThrottle(None, stopping=transport.stopping)
        fetch_file(transport, f"{server.url}/a.bin", tmp_path / "a.bin")
        assert transport.throttle.passed == len(CONTENT)


def test_stopping_leaves_what_can_be_gone_on_with(server, transport, tmp_path):
    path = tmp_path / "a.bin"
    with Transport(show=False) as stopped:
        stopped.throttle = NotedThrottle(500_000, stopping=stopped.stopping, end=60_000)
        with pytest.raises(StoppedError):
            fetch_file(stopped, f"{server.url}/a.bin", path)
    have = partial_paths(path)[0].stat().st_size
    assert 0 < have < len(CONTENT) and not path.exists()
    server.faults.clear()
    server.requests.clear()
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT and server.requests == [("a.bin", f"bytes={have}-")]


FETCH = """
import sys
import threading
from pathlib import Path
from maskspace.download.fetching import fetch_file
from maskspace.download.transport import Transport
with Transport(show=False) as transport:
    fetch_file(transport, sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.fault
def test_a_killed_run_and_the_next_give_the_same_bytes(server, transport, tmp_path, until):
    path = tmp_path / "a.bin"
    server.faults.append(lambda h: setattr(h, "pace", 100_000))
    run = subprocess.Popen([sys.executable, "-c", FETCH, f"{server.url}/a.bin", str(path)])
    partial, note = partial_paths(path)
    assert until(run, lambda: partial.exists() and partial.stat().st_size > 20_000)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    server.faults.clear()
    have = partial.stat().st_size
    assert 20_000 < have < len(CONTENT) and json.loads(note.read_bytes())["size"] == len(CONTENT)
    fetch_file(transport, f"{server.url}/a.bin", path)
    assert path.read_bytes() == CONTENT and list(tmp_path.iterdir()) == [path]
    assert server.requests[-1] == ("a.bin", f"bytes={have}-")


@pytest.mark.parametrize("length", [3, 240, 250, 255])
def test_unfinished_files_of_long_names_can_be_written(tmp_path, length):
    places = [
        path for last in "ab" for path in partial_paths(tmp_path / ("x" * (length - 1) + last))
    ]
    for path in places:
        path.write_bytes(b"")
    assert len({path.name for path in tmp_path.iterdir()}) == len(places) == 4
