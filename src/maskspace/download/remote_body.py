"""Read a file at a URL from any byte on, over as many connections as it takes.

A request that continues a file names the version of it (RFC 9110: Range with If-Range), so that two
versions of a file are never joined.

Own code, as neither requests nor urllib3 goes on with a body that breaks: where each answer ends
after 1 MiB, 8 MiB are here after 8 MiB sent, by requests never (`benchmarks/own_code.py`).
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3

from maskspace.download.transport import CHUNK, DROPS, Transport, WrongAnswerError, reason, shown

#: To read so many bytes takes less time than to make a new connection.
_SMALL = 4096
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_NO_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
_MENDS = {
    401: "it needs a login; fetch it by hand and give --mirror",
    403: "the link has expired or is not for everybody; get a new one",
    404: "it is not there; correct the mirror, or look for where the dataset has moved",
}


class ChangedError(Exception):
    """The file on the server has changed: what was fetched so far cannot be continued.

    Example:
        >>> before, now = FileVersion(10, '"1"', None), FileVersion(10, '"2"', None)
        >>> before.matches(now)  # a Body that was opened before raises ChangedError now
        False
    """


class NoRangesError(ValueError):
    """The server sends only whole files.

    Example:
        >>> str(NoRangesError("https://example.org/a.zip: its server does not send parts of files"))
        'https://example.org/a.zip: its server does not send parts of files'
    """


@dataclass(frozen=True)
class FileVersion:
    """What a server says of a file, enough to know whether a later answer has the same bytes.

    Args:
        size: number of bytes, None where the server does not say it.
        etag: the ETag header, None without one.
        modified: the Last-Modified header, None without one.

    Example:
        >>> version = FileVersion(size=10, etag='"1"', modified=None)
        >>> version.validator
        '"1"'
        >>> unsized = FileVersion(size=None, etag='"1"', modified=None)
        >>> version.matches(unsized), version.matches(FileVersion(11, '"1"', None))
        (True, False)
    """

    size: int | None
    etag: str | None
    modified: str | None

    @property
    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag, else the date; None without both."""
        strong = self.etag is not None and not self.etag.startswith("W/")
        return self.etag if strong else self.modified

    def matches(self, other: "FileVersion") -> bool:
        """Say whether everything that both versions know is equal."""
        pairs = zip(
            (self.size, self.etag, self.modified),
            (other.size, other.etag, other.modified),
            strict=True,
        )
        return all(
            own_value == its_value
            for own_value, its_value in pairs
            if None not in (own_value, its_value)
        )


class Body:
    """The bytes of a file at a URL, in order; a connection that breaks is made again.

    It reads like a file: `read`, `tell`, `close`, `closed`. The first answer tells the version;
    later answers have to be of the same. How it reads from a server is shown in
    `tests/download/test_remote_body.py`.

    Args:
        transport: how requests are made.
        url: where the file is.
        start: the first byte to read (default 0).
        stop: the byte after the last one to read (default None: the end of the file).
        version: the version that the file has to have (default None: the one that the server has).

    Raises ValueError in one line for what cannot be read, ChangedError for another version, and
    NoRangesError, a ValueError, where parts are needed and the server sends only whole files.

    Example:
        >>> with Transport(show=False) as transport:
        ...     Body(transport, "a.zip")
        Traceback (most recent call last):
            ...
        ValueError: a.zip: no http:// or https:// URL; correct it
    """

    def __init__(
        self,
        transport: Transport,
        url: str,
        *,
        start: int = 0,
        stop: int | None = None,
        version: FileVersion | None = None,
    ) -> None:
        self._version = version
        self.position, self.stop = start, stop
        self.closed = False
        self._transport, self._url = transport, url
        self._origin = start
        self._raw: urllib3.HTTPResponse | None = None
        self._retry, self._best = transport.patience, start
        while self._raw is None:
            self._try_to_open()
        self._origin = self.position

    @property
    def version(self) -> FileVersion:
        """The version of the file on the server."""
        assert self._version is not None
        return self._version

    def read(self, size: int) -> bytes:
        """Return `size` bytes; fewer only at the end."""
        pieces, remaining = [], size
        while remaining > 0 and (content := self.read_some(remaining)):
            pieces.append(content)
            remaining -= len(content)
        return b"".join(pieces)

    def read_some(self, size: int = CHUNK) -> bytes:
        """Return 1 to `size` bytes as they arrive; none at the end."""
        while self.stop is None or self.position < self.stop:
            if self._raw is None:
                self._try_to_open()
                continue
            try:
                # read1 returns what has arrived, so that a stop does not wait for a slow server
                limit = min(size, self._transport.throttle.chunk)
                content = self._raw.read1(limit, decode_content=False)
            except DROPS as error:
                self._fail(error)
                continue
            if content or self.stop is None:
                return self._passed(content)
            self._fail(WrongAnswerError("its answer ends early"))
        return b""

    def _passed(self, content: bytes) -> bytes:
        if self.stop is not None:
            content = content[: self.stop - self.position]
        self.position += len(content)
        if self.position > self._best:
            self._best, self._retry = self.position, self._transport.patience
        self._transport.progress.advance(len(content))
        self._transport.throttle.take(len(content))
        return content

    def tell(self) -> int:
        """Return the number of bytes that have been read."""
        return self.position - self._origin

    def close(self) -> None:
        """Give the connection back, or close it if much is still to come."""
        self.closed = True
        remaining = 0 if self.stop is None else self.stop - self.position
        if self._raw is not None and 0 < remaining <= _SMALL:
            with suppress(*DROPS):
                self._raw.read(remaining)
        self._drop()

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.close()
        self._raw = None

    def _fail(self, failure: Exception | requests.Response) -> None:
        self._retry = self._transport.pause(self._retry, self._url, failure)
        self._drop()

    def _try_to_open(self) -> None:
        try:
            response = self._transport.request(self._url, self._headers())
        except _NO_URL:
            raise ValueError(
                f"{shown(self._url)}: no http:// or https:// URL; correct it"
            ) from None
        except DROPS as error:
            self._fail(error)
            return
        try:
            if response.status_code in _TRANSIENT:
                self._fail(response)
                return
            self._accept(response)
            self._raw = response.raw
        except WrongAnswerError as error:
            self._fail(error)
        finally:
            if self._raw is None:
                response.close()

    def _headers(self) -> dict[str, str]:
        last = "" if self.stop is None else self.stop - 1
        if not self.position and self.stop is None:
            return {}
        place = f"bytes={self.position}-{last}"
        validator = self._version and self._version.validator
        return {"Range": place} | ({"If-Range": validator} if validator else {})

    def _accept(self, response: requests.Response) -> None:
        asked_for_part = "Range" in response.request.headers
        _check_coding(response)
        if response.status_code == 206 and asked_for_part:
            self._accept_part(response)
        elif response.status_code == 200:
            self._accept_whole(_version(response, _length(response)))
        elif response.status_code == 416 and asked_for_part:
            raise ChangedError
        else:
            advice = _MENDS.get(response.status_code, "correct the mirror or try later")
            raise ValueError(f"{shown(self._url)}: {reason(response)}; {advice}")

    def _accept_whole(self, version: FileVersion) -> None:
        if self._version is not None and not self._version.matches(version):
            raise ChangedError
        if self.position != 0 or self.stop not in (None, version.size):
            raise NoRangesError(f"{shown(self._url)}: its server does not send parts of files")
        self._version, self.stop = version, version.size

    def _accept_part(self, response: requests.Response) -> None:
        stated = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", stated.strip())
        if match is None:
            raise WrongAnswerError(f"answers with the range {stated[:60]!r}")
        first, last = int(match[1]), int(match[2])
        size = None if match[3] == "*" else int(match[3])
        version = _version(response, size)
        if self._version is not None and not self._version.matches(version):
            raise ChangedError
        # a part that ends early can be continued; one that begins elsewhere cannot
        is_past_end = self.stop is not None and last >= self.stop
        if first != self.position or last < first or is_past_end:
            raise WrongAnswerError(
                f"was asked for bytes from {self.position}, answers with the range {stated[:60]!r}"
            )
        self._version = version if self._version is None else self._version
        self.stop = size if self.stop is None else self.stop


def _check_coding(response: requests.Response) -> None:
    """Refuse a body with a content coding, except for files that are gzip themselves.

    Servers often state that coding for such files.
    """
    coding = response.headers.get("Content-Encoding", "identity")
    is_gzip = urlsplit(response.url).path.endswith((".gz", ".tgz"))
    if coding not in ("", "identity") and not is_gzip:
        raise WrongAnswerError(f"answers with the content coding {coding[:20]!r}")


def _length(response: requests.Response) -> int | None:
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() and len(stated) < 19 else None


def _version(response: requests.Response, size: int | None) -> FileVersion:
    modified = response.headers.get("Last-Modified")
    try:
        parsedate_to_datetime(modified or "")
    except ValueError:
        modified = None
    return FileVersion(size, response.headers.get("ETag") or None, modified)
