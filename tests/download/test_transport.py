import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading

import pytest
import requests

from maskspace.download.transport import (
    DownloadProgress,
    StoppedError,
    Throttle,
    Transport,
    reason,
    shown,
)


class Impatient(threading.Event):
    """Waits are noted and over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


def test_the_bandwidth_is_shared_by_all_threads():
    waiting = Impatient()
    throttle = Throttle(200_000, stopping=waiting, clock=lambda: 7.0)  # time stands still
    threads = [
        threading.Thread(target=lambda: [throttle.take(10_000) for _ in range(3)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # of 12 takes of 10 kB at 200 kB/s each waits until all before it and itself are paid for
    assert sorted(waiting.waits) == pytest.approx([0.05 * number for number in range(1, 13)])


def test_time_that_has_passed_is_not_waited_for_again_and_not_saved_up():
    waiting, times = Impatient(), iter([0.0, 0.5, 100.0])
    throttle = Throttle(1000, stopping=waiting, clock=lambda: next(times))
    for _ in range(3):
        throttle.take(1000)
    assert waiting.waits == pytest.approx([1.0, 1.5, 1.0])


def test_a_slow_limit_makes_small_pieces():
    stopping = threading.Event()
    assert Throttle(None, stopping=stopping).chunk == 65536
    assert Throttle(1000, stopping=stopping).chunk == 100
    assert Throttle(1, stopping=stopping).chunk == 1


def test_who_waits_for_bandwidth_can_be_stopped():
    stopping = threading.Event()
    throttle = Throttle(1, stopping=stopping)
    threading.Timer(0.05, stopping.set).start()
    with pytest.raises(StoppedError):  # else it waits for 1000 seconds
        throttle.take(1000)


def test_pauses_double_and_end():
    with Transport(attempts=4, backoff=0.01, show=False) as transport:
        retry, pauses = transport.patience, []
        for _ in range(3):
            retry = transport.pause(retry, "http://example.org/x", ConnectionError("gone"))
            pauses.append(retry.get_backoff_time())
        assert pauses[0] == 0 and 0.02 <= pauses[1] <= 0.03 and 0.04 <= pauses[2] <= 0.05
        with pytest.raises(ValueError, match=r"http://example\.org/x: cannot be read \(gone\)"):
            transport.pause(retry, "http://example.org/x", ConnectionError("gone"))


def test_keys_in_links_are_not_shown():
    assert shown("https://me:secret@host/a/b.tar?oh=KEY&oe=1#x") == "https://host/a/b.tar"


def test_a_failure_is_told_by_its_cause():
    inner = requests.ConnectionError(ConnectionError("refused"))
    assert reason(inner) == "cannot be read (refused)"


def test_progress_tells_what_was_received_from_what_was_there():
    progress = DownloadProgress(show=False)
    progress.expect(100)
    progress.advance(40, received=False)
    progress.advance(60)
    assert progress.received == 60
    progress.close()


def _all_of(terminal: int) -> str:
    said = b""
    with contextlib.suppress(OSError):  # the other side is closed and all is read
        while part := os.read(terminal, 65536):
            said += part
    os.close(terminal)
    return said.decode()


def test_the_bar_says_bytes_rate_and_time_left_in_a_terminal(monkeypatch):
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with os.fdopen(side, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        progress = DownloadProgress()
        progress.expect(4_000_000)
        progress.advance(1_000_000)
        progress.close()
    said = _all_of(terminal)
    assert re.search(r"25%.*1\.00M/4\.00M \[\d\d:\d\d<\d\d:\d\d, [\d.]+.?B/s\]", said)
