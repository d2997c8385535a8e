"""Shape and type checks on every public call; real images, an S3 server, a Ray; GPU tests."""

import logging
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers are nice by default: beside other work they hardly get on, and tests wait for them
os.environ.setdefault("RAY_worker_niceness", "0")
install_import_hook("maskspace", "beartype.beartype")

# how long an example takes says how busy the machine is, and nothing of the law that it is for
settings.register_profile("laws", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu"):
        import torch  # not before OMP_NUM_THREADS is set

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture(scope="session")
def until() -> Callable[[subprocess.Popen, Callable[[], bool]], bool]:
    """Wait for what a process does: until `holds()`, or the process has ended; return `holds()`."""

    def wait(process: subprocess.Popen, holds: Callable[[], bool]) -> bool:
        while not holds() and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.005)
        return holds()

    return wait


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real images with masks; tests that need it skip where it is absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("MASKSPACE_ASSETS", root.parent / "shared" / "assets"))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; set MASKSPACE_ASSETS")
    return folder


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of numbers recorded from reference implementations; tests skip without it."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("MASKSPACE_VECTORS", root.parent / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.skip(f"no recorded vectors at {folder}; set MASKSPACE_VECTORS")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine, with the bucket `maskspace-test`."""
    from moto.server import ThreadedMotoServer  # a second to import

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an S3 bucket, reached as users reach theirs: through the usual variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.filesystem("s3").mkdirs("maskspace-test", exist_ok=True)
    return "s3://maskspace-test"


@pytest.fixture(scope="session")
def offered_ray() -> Iterator[str | None]:
    """The socket of a launcher's local Ray, started when first asked for; None on a cluster."""
    from maskspace import parallel  # not before its calls are checked

    with (
        tempfile.TemporaryDirectory(prefix="maskspace-") as folder,  # a socket's name is short
        parallel.offer_local_ray(Path(folder, "ray")),
    ):
        offered = os.environ.pop("MASKSPACE_RAY", None)
        yield offered
        if offered is not None:
            os.environ["MASKSPACE_RAY"] = offered  # as the launcher left it


@pytest.fixture
def shared_ray(offered_ray: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test, and the processes it starts, join one Ray of the session: a start costs 6 s."""
    if offered_ray is not None:
        monkeypatch.setenv("MASKSPACE_RAY", offered_ray)
