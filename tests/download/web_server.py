"""A web server on 127.0.0.1 for the tests of downloads, whose faults can be chosen."""

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """Serves `files` by name, with strong ETags and ranges. `faults` see every request first.

    A fault is called with the handler; it answers itself and returns True, or leaves it to the
    server, perhaps after it changed the handler's `cut` (bytes of the body after which the
    connection drops), `pace` (bytes a second) or `ranges`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[Callable[[Handler], bool | None]] = []
        self.requests: list[tuple[str, str | None]] = []
        self.served: Counter[str] = Counter()
        self.connections = 0
        self.etags = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request, client_address) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET with 200, 206, 404 or 416."""

    protocol_version = "HTTP/1.1"
    server: WebServer
    timeout = 20

    def do_GET(self) -> None:
        self.cut: int | None = None
        self.pace: float | None = None
        self.ranges = True
        self.name = self.path.partition("?")[0].rsplit("/", 1)[-1]
        self.wanted = self.headers.get("Range")
        self.server.requests.append((self.name, self.wanted))
        for fault in list(self.server.faults):
            if fault(self):
                return
        if self.name not in self.server.files:
            self.answer(404, b"")
            return
        self.send_file(self.server.files[self.name])

    def send_file(self, content: bytes) -> None:
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": etag} if self.server.etags else {}
        fresh = self.headers.get("If-Range", etag) == etag
        span = self.span(len(content)) if self.ranges and fresh else None
        if span is None:
            self.answer(200, content, headers)
            return
        start, stop = span
        if start >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        self.answer(206, content[start:stop], headers)

    def span(self, size: int) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.wanted or "")
        if found is None:
            return None
        first, last = found.groups()
        if not first:
            return max(0, size - int(last)), size
        return int(first), min(size, int(last) + 1) if last else size

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        for first in range(0, len(body) if self.cut is None else self.cut, 8192):
            piece = body[first : min(first + 8192, len(body) if self.cut is None else self.cut)]
            # before: a client that has them may look at once
            self.server.served[self.name] += len(piece)
            self.wfile.write(piece)
            if self.pace is not None:
                time.sleep(len(piece) / self.pace)
        if self.cut is not None:
            self.close_connection = True

    def log_message(self, *_) -> None:
        """Say nothing."""


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Give a running server."""
    with WebServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def first_times(count: int, fault: Callable[[Handler], bool | None]) -> Callable[[Handler], bool]:
    """Return a fault that happens the first `count` times only."""
    left = [count]

    def once(handler: Handler) -> bool:
        if left[0] == 0:
            return False
        left[0] -= 1
        return bool(fault(handler))

    return once


def drop_after(count: int) -> Callable[[Handler], bool]:
    """Return a fault that closes the connection after `count` bytes of the body."""

    def fault(handler: Handler) -> bool:
        handler.cut = count
        return False

    return fault
