import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from maskspace import parallel, servers, tracking
from maskspace.cli import main
from maskspace.files import locate
from workflows.frame import require_servers

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """A server that says one thing to whoever comes, or nothing and holds the line."""
    held = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(1 << 16)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
    for connection in held:
        connection.close()


@contextmanager
def gone() -> Iterator[str]:
    """A port that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
    yield place


@contextmanager
def nowhere() -> Iterator[str]:
    """A host that no name server knows."""
    yield "no-such-host.invalid:6379"


#: What may stand where a server should.
ABSENT = {
    "gone": gone,
    "silent": lambda: listening(None),
    "closes": lambda: listening(b""),
    "no such host": nowhere,
}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(servers, "DEADLINE_S", 0.5)


@pytest.mark.parametrize("kind", ABSENT)
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_ray_that_does_not_answer_is_told_in_one_line(kind, scheme, impatient, monkeypatch):
    with ABSENT[kind]() as place:
        monkeypatch.setenv("RAY_ADDRESS", f"{scheme}{place}")
        with pytest.raises(ValueError, match=f"RAY_ADDRESS={scheme}{place}: no server answers"):
            parallel.require_cluster()


def test_another_server_than_ray_is_told(impatient, monkeypatch):
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        monkeypatch.setenv("RAY_ADDRESS", place)
        with pytest.raises(ValueError, match="another kind of server"):
            parallel.require_cluster()


def test_what_speaks_http2_may_be_ray(impatient, monkeypatch):
    with listening(SETTINGS) as place:
        monkeypatch.setenv("RAY_ADDRESS", place)
        parallel.require_cluster()


def test_an_address_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head")
    with pytest.raises(ValueError, match="'head' is not HOST:PORT"):
        parallel.require_cluster()


def test_an_empty_address_is_none(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    parallel.require_cluster()


@pytest.mark.parametrize("kind", ABSENT)
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_a_store_that_does_not_answer_is_told_in_one_line(kind, variable, impatient, monkeypatch):
    with ABSENT[kind]() as place:
        monkeypatch.setenv(variable, f"http://{place}")
        with pytest.raises(ValueError, match=f"{variable}=http://{place}: no server answers"):
            tracking.require_store()


@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "mssql"])
def test_a_database_that_is_gone_is_told(scheme, impatient, monkeypatch):
    with gone() as place:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:secret@{place}/runs")
        with pytest.raises(ValueError, match="no server answers there"):
            tracking.require_store()


def test_any_answer_of_a_web_server_will_do(impatient):
    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.require_http(f"http://127.0.0.1:{server.server_port}", name="it")
        server.shutdown()


def test_what_is_asked_may_answer_or_raise(impatient):
    assert servers.within(lambda: 3) == 3
    with pytest.raises(KeyError):
        servers.within(lambda: {}[0])
    with pytest.raises(TimeoutError, match=r"no answer within 0\.5 s"):
        servers.within(threading.Event().wait)


@pytest.mark.parametrize("kind", ABSENT)
def test_an_object_store_that_does_not_answer_is_told(kind, impatient, monkeypatch):
    with ABSENT[kind]() as place:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{place}")
        with pytest.raises(ValueError, match=f"s3://b/x: http://{place}: no server answers there"):
            locate("s3://b/x")


#: Commands, what of the environment points to nobody, and where it says so.
COMMANDS = {
    "segment": (["segment", "x.png", "--out", "o", "--model", "models:/m@champion"], "MLFLOW"),
    "click": (["click", "x.png", "--at", "1,1", "--out", "m.png", "--model", "models:/m/1"],
              "MLFLOW"),
    "evaluate, model": (["evaluate", "--data", "folder:x", "--model", "models:/m@champion",
                         "--out", "o"], "MLFLOW"),
    "evaluate, Ray": (["evaluate", "--data", "folder:x", "--model", "felzenszwalb", "--workers",
                       "2", "--out", "o"], "RAY"),
    "evaluate, data": (["evaluate", "--data", "folder:s3://b/x", "--model", "felzenszwalb",
                        "--out", "o"], "AWS"),
    "train, Ray": (["train", "--objective", "balls", "--data", "folder:x", "--out", "o"], "RAY"),
    "finetune, Ray": (["finetune", "models:/m/1", "--data", "folder:x", "--out", "o"], "RAY"),
    "shards info": (["shards", "info", "s3://b/x"], "AWS"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_a_missing_server_in_one_line(
    command, impatient, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32)).save("x.png")
    arguments, server = COMMANDS[command]
    with gone() as place:
        names = {
            "MLFLOW": ("MLFLOW_TRACKING_URI", f"http://{place}"),
            "RAY": ("RAY_ADDRESS", place),
            "AWS": ("AWS_ENDPOINT_URL", f"http://{place}"),
        }
        monkeypatch.setenv(*names[server])
        assert main(arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "no server answers" in told[0]
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_every_stage_asks_for_its_servers_before_anything_else(impatient, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ValueError, match="RAY_ADDRESS"):
        require_servers()
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI"):
        require_servers()
