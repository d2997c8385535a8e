"""Map a function over units of work, here or on a Ray cluster.

The environment decides which Ray a process joins, in this order:
- `RAY_ADDRESS` names a cluster of the user's;
- `MASKSPACE_RAY` names the unix socket of a launcher, which offers one local Ray to all stages of
  its run and starts it at the first request;
- otherwise a local Ray is started for this process alone.
A process of its own holds the local Ray, and ends it as soon as the process that asked for it is
gone for whatever reason: a driver that is killed would leave Ray's agents behind.
"""

import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from operator import length_hint
from pathlib import Path
from typing import Any, TypeVar

import psutil

from maskspace.servers import require_grpc

Unit = TypeVar("Unit")
Result = TypeVar("Result")

#: Bytes of shared memory for results in transit; more spills to disk.
OBJECT_STORE_BYTES = 200 * 2**20

#: How often the local Ray is started before that is an error: Ray gives each of its nodes half a
#: minute, and on a busy machine that is too short.
_STARTS = 3

_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class LocalRay:
    """A local Ray; it is started at the first request and ends with this process at the latest.

    Example:
        >>> local = LocalRay()  # nothing is started before the first `local.address()`
        >>> local.stop()  # so there is nothing to end
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._address = ""
        self._lock = threading.Lock()

    def address(self) -> str:
        """Return `host:port` of the local Ray; start it if needed, which takes some seconds."""
        with self._lock:
            for _ in range(_STARTS):
                if self._process is not None and self._process.poll() is None:
                    break
                self._address = self._start()
            if not self._address:
                raise RuntimeError("the local Ray did not start; its complaint stands above")
            return self._address

    def _start(self) -> str:
        """Return the address of a fresh local Ray, or nothing if it has given up."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "maskspace.parallel"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        if not address:
            self.stop()
        return address

    def stop(self) -> None:
        """End the local Ray and everything it started, if it was started."""
        if self._process is None:
            return
        with self._process:  # closes its pipes, which ends it, and waits
            self._process = None


@contextmanager
def offer_local_ray(path: Path) -> Iterator[None]:
    """Offer one local Ray, while inside, to the processes that ask on the unix socket `path`.

    Sets `MASKSPACE_RAY`, and a secret that keeps other users of the machine out. Does nothing if
    the user has set `RAY_ADDRESS`.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, RAY_ADDRESS="cluster:6379"), offer_local_ray(Path("s")):
        ...     "MASKSPACE_RAY" in os.environ  # the user's cluster is used: nothing is offered
        False
    """
    if _cluster() is not None:
        yield
        return
    set_environment()
    local = LocalRay()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        os.environ["MASKSPACE_RAY"] = str(path)
        threading.Thread(target=_answer, args=(server, local), daemon=True).start()
        try:
            yield
        finally:
            del os.environ["MASKSPACE_RAY"]
            local.stop()


def _answer(server: socket.socket, local: LocalRay) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            try:
                reply = {"address": local.address()}
            except RuntimeError as error:
                reply = {"error": str(error)}
            with suppress(BrokenPipeError):
                connection.sendall(json.dumps(reply).encode())


def _ask(path: str) -> str:
    """Return the address of the launcher's Ray."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError as error:
            raise ValueError(
                f"MASKSPACE_RAY={path}: no launcher answers there ({error.strerror}); unset it"
            ) from None
        reply = json.loads(b"".join(iter(lambda: client.recv(4096), b"")) or '{"error": "gone"}')
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply["address"]


def set_environment() -> None:
    """Set the variables that Ray reads, unless the user has: little output, and a secret.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, clear=True):
        ...     set_environment()
        ...     os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"])
        ('token', 32)
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if _cluster() is None and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)


@contextmanager
def connect() -> Iterator[None]:
    """Be a driver, while inside, of the Ray that the environment names.

    Does nothing inside another `connect`. ValueError, within seconds, if the cluster of
    `RAY_ADDRESS` or the launcher cannot be reached.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, RAY_ADDRESS="127.0.0.1:1"), connect():  # nobody listens
        ...     pass
        Traceback (most recent call last):
            ...
        ValueError: RAY_ADDRESS=127.0.0.1:1: no server answers there ...
    """
    set_environment()
    require_cluster()
    import ray  # 0.4 s, and a stage whose units are all done never needs it
    from ray.exceptions import RayError

    if ray.is_initialized():
        yield
        return
    own = LocalRay()
    try:
        ray.init(address=_address(own), log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, RayError) as error:
        place = _cluster() or "the local Ray"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"RAY_ADDRESS={place}: no Ray answers there ({reason})") from None
    try:
        yield
    finally:
        ray.shutdown()
        own.stop()


def require_cluster() -> None:
    """Raise ValueError in one line if `RAY_ADDRESS` names a cluster that does not answer.

    Ray itself tries for ten minutes. Values that are no address ("auto", "local") are left to Ray.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, RAY_ADDRESS="cluster"):
        ...     require_cluster()
        Traceback (most recent call last):
            ...
        ValueError: RAY_ADDRESS=cluster: 'cluster' is not HOST:PORT; ...
    """
    address = _cluster()
    if address in (None, "auto", "local"):
        return
    place = address.removeprefix("ray://").partition("?")[0]
    try:
        tls = os.environ.get("RAY_USE_TLS") == "1"
        require_grpc(place, name=f"RAY_ADDRESS={address}", tls=tls)
    except ValueError as error:
        raise ValueError(f"{error}; start that Ray, or unset RAY_ADDRESS") from None


def _cluster() -> str | None:
    """Return what `RAY_ADDRESS` says, None where it is not set or empty."""
    return os.environ.get("RAY_ADDRESS") or None


def _address(own: LocalRay) -> str:
    cluster = _cluster()
    if cluster is not None:
        return cluster
    if "MASKSPACE_RAY" in os.environ:
        return _ask(os.environ["MASKSPACE_RAY"])
    return own.address()


def map_here(
    function: Callable[[Unit], Result],
    units: Iterable[Unit],
    *,
    describe: str = "units",
) -> Iterator[Result]:
    """Yield `function(unit)` for each unit, in order, in this process: `map_units` without Ray.

    A unit is taken from `units` only when the result before it has been asked for.

    Example:
        >>> list(map_here(abs, [-1, 2, -3]))
        [1, 2, 3]
    """
    progress = PaceLine(describe, length_hint(units, 0))
    for unit in units:
        yield function(unit)
        progress.step()


def map_units(
    function: Callable[[Unit], Result],
    units: Iterable[Unit],
    *,
    describe: str = "units",
    workers: int | None = None,
    fresh: bool = False,
) -> Iterator[Result]:
    """Yield `function(unit)` for each unit, in the order of the units, computed by Ray tasks.

    A task takes one CPU. Memory stays bounded for any number of units: at most four units for each
    CPU are taken before the result of the first of them has been asked for. A task whose worker
    dies is run again, three times. An exception of a task is raised here. No unit needs no Ray; a
    single unit is computed here.

    Args:
        function: what is computed.
        units: the units of work.
        describe: what the progress line counts (default "units").
        workers: tasks at the same time at most (default None: as many as there are CPUs).
        fresh: whether every unit gets a process of its own, which a measurement of memory needs
            (default False).

    Example:
        >>> list(map_units(abs, [-3]))  # one unit alone needs no Ray
        [3]
    """
    total = length_hint(units, 0)
    remaining = iter(units)
    first = list(islice(remaining, 2))
    if len(first) < 2:
        yield from map_here(function, first, describe=describe)
        return
    with connect():
        yield from _map_on_ray(
            function, chain(first, remaining), PaceLine(describe, total), workers, fresh=fresh
        )


def _map_on_ray(
    function: Callable[[Unit], Result],
    units: Iterator[Unit],
    progress: "PaceLine",
    workers: int | None,
    *,
    fresh: bool,
) -> Iterator[Result]:
    import ray

    task = ray.remote(num_cpus=1, max_retries=3, max_calls=int(fresh))(_apply)
    shared = ray.put(function)  # once, however much is bound to it
    window = 4 * (workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
    flying: deque[Any] = deque()  # results that are still to be given, in order
    running: set[Any] = set()
    # What is in flight when an error leaves ends by itself or with this process: cancelling a task
    # that completes meanwhile fails a check in Ray and would end this process without a word.
    while True:
        room = min(window - len(flying), (workers or window) - len(running))
        for unit in islice(units, room):
            flying.append(task.remote(shared, unit))
            running.add(flying[-1])
        if not flying:
            return
        if flying[0] in running:
            running.difference_update(ray.wait(list(running), num_returns=1)[0])
        else:
            yield _result(flying.popleft(), progress.label)
            progress.step()


def _apply(function: Callable[[Unit], Result], unit: Unit) -> Result:
    return function(unit)


def _result(reference: object, label: str) -> Any:
    import ray
    from ray.exceptions import RayTaskError, WorkerCrashedError

    try:
        return ray.get(reference)  # pyright: ignore[reportArgumentType, reportCallIssue]
    except RayTaskError as error:
        # Ray's own exception carries the worker's traceback in its text: not one line.
        if isinstance(error.cause, ValueError):
            raise error.cause from None
        raise
    except WorkerCrashedError:
        raise RuntimeError(
            f"{label}: the worker of a task died four times; the machine may be short of memory"
        ) from None


class PaceLine:
    """A line on stderr every few seconds: units done, units a second, and the remaining time.

    Args:
        label: begins the line.
        total: number of units; 0 if it is not known, and then no remaining time is shown.
        every_s: seconds between lines (default 5).

    Example:
        >>> pace = PaceLine("train: steps", total=100)
        >>> pace.step()  # quiet in the first seconds
        >>> pace.done
        1
    """

    def __init__(self, label: str, total: int, *, every_s: float = 5.0) -> None:
        self.label, self.total, self.every_s = label, total, every_s
        self.done, self.start = 0, time.monotonic()
        self.last_line = self.start

    def step(self) -> None:
        """Count one unit more."""
        self.done += 1
        now = time.monotonic()
        if now - self.last_line < self.every_s:
            return
        self.last_line = now
        rate = self.done / (now - self.start)
        of_total, time_left = "", ""
        if self.total:
            of_total, time_left = (
                f" of {self.total}",
                f", {(self.total - self.done) / rate:.0f} s left",
            )
        sys.stderr.write(f"{self.label}: {self.done}{of_total}, {rate:.3g} a second{time_left}\n")


def _hold_local_ray() -> None:
    """Start a local Ray, print its address, and end it when standard input closes."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    import ray

    ray.init(
        address="local",  # else the cluster of whoever last said `ray start` on this machine
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    sys.stdout.write(f"{ray.get_runtime_context().gcs_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


def _end_with_input() -> None:
    """End Ray, all that descends from this process or is of its group, at any point of its life.

    An orderly shutdown takes seconds and leaves the node's agents, slow to notice, behind; nothing
    of a local Ray outlives its run, so nothing is lost. Workers, in groups of their own, notice
    within a minute that their raylet is gone, and are not waited for.
    """
    sys.stdin.buffer.read()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _hold_local_ray()
