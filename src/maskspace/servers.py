"""Whether a server answers: asked before a library that would wait for it for minutes.

Every question ends after `DEADLINE_S`, whatever the server does: it may refuse, be silent, answer a
byte a minute, or have a name that nobody resolves.
"""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

Result = TypeVar("Result")

#: Seconds that a server has to answer.
DEADLINE_S = 10.0

#: What a client of HTTP/2, which gRPC is, says first; a server answers with a frame of settings.
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4

#: The port of a database whose URL names none.
_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}


def within(ask: Callable[[], Result]) -> Result:
    """Return `ask()`, or raise TimeoutError after `DEADLINE_S`.

    A call that is still waiting then ends with this process.

    Example:
        >>> within(lambda: 1 + 1)
        2
    """
    results: list[Result] = []
    failed: list[BaseException] = []

    def answer() -> None:
        try:
            results.append(ask())
        except BaseException as error:  # noqa: BLE001  raised again below, by who asked
            failed.append(error)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    if failed:
        raise failed[0]
    if not results:
        raise TimeoutError(f"no answer within {DEADLINE_S:g} s")
    return results[0]


def require_grpc(address: str, *, name: str, tls: bool = False) -> None:
    """Raise ValueError that starts with `name` unless a gRPC server answers at HOST:PORT.

    Args:
        address: HOST:PORT.
        name: begins the error.
        tls: whether the server uses TLS; then only the connection is tried (default False).

    Example:
        >>> require_grpc("cluster", name="RAY_ADDRESS=cluster")
        Traceback (most recent call last):
            ...
        ValueError: RAY_ADDRESS=cluster: 'cluster' is not HOST:PORT
        >>> require_grpc("127.0.0.1:1", name="ray")  # nobody listens
        Traceback (most recent call last):
            ...
        ValueError: ray: no server answers there (Connection refused)
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError(f"{name}: {address!r} is not HOST:PORT")
    _require(lambda: _greeted(host.strip("[]"), int(port), tls=tls), name)


def require_http(url: str, *, name: str) -> None:
    """Raise ValueError that starts with `name` unless a server answers HTTP at the URL.

    Any answer counts, a refusal too: it shows that a server is there.

    Example:
        >>> require_http("http://127.0.0.1:1", name="tracking server")  # nobody listens
        Traceback (most recent call last):
            ...
        ValueError: tracking server: no server answers there (Connection refused)
    """
    _require(lambda: _answered(url), name)


def require_database(url: str, *, name: str) -> None:
    """Raise ValueError that starts with `name` unless the database's port takes a connection.

    A URL without a host or a known port is not checked.

    Example:
        >>> with socket.create_server(("127.0.0.1", 0)) as server:
        ...     port = server.getsockname()[1]
        ...     require_database(f"postgresql://127.0.0.1:{port}/runs", name="store")
        >>> require_database("postgresql://127.0.0.1:1/runs", name="store")  # nobody listens
        Traceback (most recent call last):
            ...
        ValueError: store: no server answers there (Connection refused)
    """
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
    host = parts.hostname
    if host is not None and port is not None:
        require_port(host, port, name=name)


def require_port(host: str, port: int, *, name: str) -> None:
    """Raise ValueError that starts with `name` unless the port takes a connection.

    Example:
        >>> with socket.create_server(("127.0.0.1", 0)) as server:
        ...     require_port("127.0.0.1", server.getsockname()[1], name="server")
    """
    _require(lambda: _connected(host, port), name)


def _require(ask: Callable[[], None], name: str) -> None:
    try:
        within(ask)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{name}: no server answers there ({reason})") from None


def _connected(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=DEADLINE_S).close()


def _greeted(host: str, port: int, *, tls: bool) -> None:
    with socket.create_connection((host, port), timeout=DEADLINE_S) as connection:
        if tls:
            return
        connection.sendall(_HTTP2_PREFACE)
        head = connection.recv(9, socket.MSG_WAITALL)
    if len(head) < 9 or head[3] != _SETTINGS:
        raise ConnectionError("what listens there is another kind of server")


def _answered(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=DEADLINE_S).close()
    except urllib.error.HTTPError:
        return
    except urllib.error.URLError as error:
        raise ConnectionError(_reason(error.reason)) from None


def _reason(reason: object) -> str:
    return str(getattr(reason, "strerror", None) or reason)
