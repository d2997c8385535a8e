"""Requests over HTTP with pauses before each retry, one limit of bandwidth and a way to stop."""

import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

CHUNK = 2**16
#: Longest pause that a server may ask for, in seconds; a longer one ends the transfer.
LONGEST_PAUSE = 300.0
#: Errors with which a connection may break.
DROPS = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)


class StoppedError(Exception):
    """The transfer was asked to stop.

    Example:
        >>> stopping = threading.Event()
        >>> stopping.set()
        >>> Throttle(None, stopping=stopping).take(1)
        Traceback (most recent call last):
            ...
        maskspace.download.transport.StoppedError
    """


class WrongAnswerError(Exception):
    """A server's answer is wrong; a second request may get a right one.

    Example:
        >>> reason(WrongAnswerError("its answer ends early"))
        'its answer ends early'
    """


class Throttle:
    """A limit of bandwidth that all threads share, in pieces of a tenth of a second.

    Args:
        rate: bytes a second (None: no limit).
        stopping: event that ends all waiting.
        clock: function that returns seconds (default `time.monotonic`).

    Example:
        >>> throttle = Throttle(1_000_000, stopping=threading.Event(), clock=lambda: 0.0)
        >>> throttle.chunk  # a tenth of a second, at most 64 KiB
        65536
        >>> throttle.take(1_000)  # waits for a thousandth of a second
    """

    def __init__(
        self,
        rate: int | None,
        *,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.chunk = CHUNK if rate is None else max(1, min(CHUNK, int(rate / 10)))
        self._rate, self._stopping, self._clock = rate, stopping, clock
        self._lock, self._paid_until = threading.Lock(), 0.0

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass; StoppedError when the event is set."""
        pause = 0.0
        if self._rate is not None:
            with self._lock:
                now = self._clock()
                self._paid_until = max(self._paid_until, now) + count / self._rate
                pause = self._paid_until - now
        if self._stopping.wait(pause) if pause else self._stopping.is_set():
            raise StoppedError


class DownloadProgress:
    """A bar on standard error with bytes, rate and remaining time.

    Args:
        show: False shows no bar; True shows one if standard error is a terminal (default True).

    Example:
        >>> progress = DownloadProgress(show=False)
        >>> progress.expect(100)
        >>> progress.advance(60, received=False)  # found on the disk
        >>> progress.advance(40)
        >>> progress.received
        40
    """

    def __init__(self, *, show: bool = True) -> None:
        disable = None if show else True
        self._bar = tqdm(total=0, unit="B", unit_scale=True, unit_divisor=1000, disable=disable)
        self._lock = threading.Lock()
        self.received = 0

    def expect(self, count: int) -> None:
        """Add `count` bytes to the total."""
        with self._lock:
            self._bar.total = (self._bar.total or 0) + count
            self._bar.refresh()

    def advance(self, count: int, *, received: bool = True) -> None:
        """Count bytes as done: received now, or, where `received` is False, found on the disk."""
        with self._lock:
            self.received += count if received else 0
            # bytes that were read twice may be more than were expected
            self._bar.total = max(self._bar.total or 0, self._bar.n + count)
            self._bar.update(count)

    def close(self) -> None:
        """Close the bar; it stays on the screen."""
        self._bar.close()


class Transport:
    """Requests with retries, a limit of bandwidth and a way to stop, shared by all threads.

    Args:
        jobs: number of threads that make requests (default 4).
        bandwidth: bytes a second for all of them together (default None: no limit).
        attempts: how many attempts in a row may bring no new byte (default 6).
        backoff: seconds of the first pause; it doubles, up to 60 s (default 0.5).
        timeout: seconds to wait for an answer (default 30).
        show: as in `DownloadProgress` (default True).

    Example:
        >>> with Transport(bandwidth=100_000, show=False) as transport:
        ...     transport.throttle.chunk, transport.patience.total
        (10000, 5)
        >>> transport.stopping.is_set()  # at the end of the block every thread stops
        True
    """

    def __init__(
        self,
        *,
        jobs: int = 4,
        bandwidth: int | None = None,
        attempts: int = 6,
        backoff: float = 0.5,
        timeout: float = 30.0,
        show: bool = True,
    ) -> None:
        self.stopping = threading.Event()
        self.throttle = Throttle(bandwidth, stopping=self.stopping)
        self.progress = DownloadProgress(show=show)
        self.patience = Retry(
            total=attempts - 1,
            backoff_factor=backoff,
            backoff_jitter=backoff,
            backoff_max=60,
        )
        self._timeout = timeout
        self._http = requests.Session()
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(pool_maxsize=jobs, max_retries=0))

    def __enter__(self) -> "Transport":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every thread that still transfers."""
        self.stopping.set()
        self.progress.close()
        self._http.close()

    def request(self, url: str, headers: dict[str, str]) -> requests.Response:
        """Return the answer to a request; its body is not read yet."""
        if self.stopping.is_set():
            raise StoppedError
        # a body that is compressed on the way has other offsets than the file
        headers = {"Accept-Encoding": "identity"} | headers
        return self._http.get(url, headers=headers, stream=True, timeout=self._timeout)

    def pause(self, retry: Retry, url: str, failure: "Exception | requests.Response") -> Retry:
        """Wait before the next attempt, and return the attempts that are left.

        Raises ValueError when there are none left, or when the server asks for a pause above 300 s,
        and StoppedError when the transfer is stopped.
        """
        raw = failure.raw if isinstance(failure, requests.Response) else None
        error = failure if isinstance(failure, Exception) else None
        try:
            retry = retry.increment("GET", url, response=raw, error=error)
            seconds_asked = (raw is not None and retry.get_retry_after(raw)) or 0.0
        except (urllib3.exceptions.MaxRetryError, urllib3.exceptions.InvalidHeader):
            raise ValueError(
                f"{shown(url)}: {reason(failure)}; check the network and run again, it goes on "
                "where it is"
            ) from None
        if seconds_asked > LONGEST_PAUSE:
            raise ValueError(
                f"{shown(url)}: asks to come back in {seconds_asked:.0f} s; run again then"
            )
        if self.stopping.wait(max(seconds_asked, retry.get_backoff_time())):
            raise StoppedError
        return retry


def shown(url: str) -> str:
    """Return a URL without password and without its query, in which links carry their keys.

    Example:
        >>> shown("https://me:password@example.org/a.zip?key=1")
        'https://example.org/a.zip'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], parts.path, "", ""))


def reason(failure: Exception | requests.Response) -> str:
    """Return in a few words why a request failed.

    Example:
        >>> reason(requests.ConnectionError("no route to the host"))
        'cannot be read (no route to the host)'
    """
    if isinstance(failure, requests.Response):
        return f"answers {failure.status_code} {failure.reason}"
    if isinstance(failure, WrongAnswerError):
        return str(failure)
    cause: BaseException = failure
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    message = str(getattr(cause, "reason", None) or cause)
    return f"cannot be read ({re.sub(r'<[^>]*>:? ?', '', message)[:200]})"
