import threading

import numpy as np
import pytest

from maskspace.download.remote_body import Body, ChangedError, FileVersion, NoRangesError
from maskspace.download.transport import StoppedError
from tests.download.web_server import drop_after, first_times, web_server

CONTENT = np.random.default_rng(0).bytes(100_000)


@pytest.fixture
def server():
    with web_server() as running:
        running.files["a.bin"] = CONTENT
        yield running


def read_all(body: Body) -> bytes:
    return b"".join(iter(body.read_some, b""))


def test_a_file_is_read_whole(server, transport):
    body = Body(transport, f"{server.url}/a.bin")
    assert body.version.size == len(CONTENT)
    assert read_all(body) == CONTENT and body.tell() == len(CONTENT)
    assert server.requests == [("a.bin", None)]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (5, 5000), (99_999, 100_000), (7, None)])
def test_a_part_is_read_and_nothing_else(server, transport, start, stop):
    body = Body(transport, f"{server.url}/a.bin", start=start, stop=stop)
    assert read_all(body) == CONTENT[start:stop]
    assert server.served["a.bin"] == len(CONTENT[start:stop])


def test_read_gives_what_is_asked_for_across_drops(server, transport):
    server.faults.append(drop_after(10))
    body = Body(transport, f"{server.url}/a.bin", start=100, stop=200)
    assert body.read(64) == CONTENT[100:164]
    assert body.read(64) == CONTENT[164:200]
    assert body.read(64) == b""


def test_a_dropped_connection_is_gone_on_with(server, transport):
    server.faults.append(drop_after(30_000))
    assert read_all(Body(transport, f"{server.url}/a.bin")) == CONTENT
    assert [wanted for _, wanted in server.requests] == [
        None,
        *(f"bytes={start}-99999" for start in (30_000, 60_000, 90_000)),
    ]


def test_a_server_that_never_gets_further_is_given_up(server, transport):
    server.faults.append(drop_after(0))
    with pytest.raises(ValueError, match=r"a\.bin: .*check the network and run again"):
        read_all(Body(transport, f"{server.url}/a.bin"))
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server, transport, status):
    server.faults.append(first_times(2, lambda h: h.answer(status, b"") or True))
    assert read_all(Body(transport, f"{server.url}/a.bin")) == CONTENT
    assert len(server.requests) == 3


def test_retry_after_is_honoured(server, transport):
    busy = first_times(1, lambda h: h.answer(503, b"", {"Retry-After": "1"}) or True)
    server.faults.append(busy)
    waited = []
    transport.stopping.wait = lambda seconds: waited.append(seconds) and False
    assert read_all(Body(transport, f"{server.url}/a.bin")) == CONTENT
    assert waited == [1.0]


def test_a_server_that_asks_for_hours_is_not_waited_for(server, transport):
    server.faults.append(lambda h: h.answer(429, b"", {"Retry-After": "7200"}) or True)
    with pytest.raises(ValueError, match=r"asks to come back in 7200 s; run again then"):
        Body(transport, f"{server.url}/a.bin")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_a_refusal_is_not_asked_again(server, transport, status):
    server.faults.append(lambda h: h.answer(status, b"") or True)
    with pytest.raises(ValueError, match=rf"a\.bin: answers {status}"):
        Body(transport, f"{server.url}/a.bin?key=secret")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "said",
    [
        *(f"bytes {span}/100000" for span in ("6-9", "4-9", "5-10", "9-5", "-9", "٥-9")),  # noqa: RUF001
        "bytes 5-9/99999999999999999999",
        "5-9",
        "",
    ],
)
def test_a_wrong_range_is_refused(server, transport, said):
    body = CONTENT[5:10]
    header = {"Content-Range": said.encode().decode("latin-1")} if said else {}
    server.faults.append(lambda h: h.answer(206, body, header) or True)
    with pytest.raises(ValueError, match=r"answers with the range"):
        Body(transport, f"{server.url}/a.bin", start=5, stop=10)
    assert len(server.requests) == 4


def test_one_wrong_range_is_asked_for_again(server, transport):
    wrong = {"Content-Range": "bytes 0-4/100000"}
    server.faults.append(first_times(1, lambda h: h.answer(206, CONTENT[:5], wrong) or True))
    assert read_all(Body(transport, f"{server.url}/a.bin", start=5, stop=10)) == CONTENT[5:10]


def test_a_part_that_ends_early_is_gone_on_with(server, transport):
    short = {"Content-Range": "bytes 5-6/100000"}
    server.faults.append(first_times(1, lambda h: h.answer(206, CONTENT[5:7], short) or True))
    assert read_all(Body(transport, f"{server.url}/a.bin", start=5, stop=10)) == CONTENT[5:10]


def test_a_server_without_ranges_is_told_from_a_changed_file(server, transport):
    server.faults.append(lambda h: setattr(h, "ranges", False))
    with pytest.raises(NoRangesError, match="does not send parts"):
        Body(transport, f"{server.url}/a.bin", start=5)
    old = FileVersion(100_000, '"old"', None)
    with pytest.raises(ChangedError):
        Body(transport, f"{server.url}/a.bin", start=5, version=old)


def test_a_file_that_changes_while_it_is_read_is_not_joined(server, transport):
    def change(handler):
        server.files["a.bin"] = CONTENT[::-1]
        handler.server.faults.clear()

    server.faults.append(first_times(1, drop_after(1000)))
    body = Body(transport, f"{server.url}/a.bin")
    assert body.read(1000) == CONTENT[:1000]
    server.faults.append(change)
    with pytest.raises(ChangedError):
        body.read(1)


def test_a_range_of_another_version_is_not_joined(server, transport):
    server.faults.append(
        lambda h: h.answer(206, b"x" * 10, {"Content-Range": "bytes 5-14/15", "ETag": '"b"'}) or 1
    )
    for version in (FileVersion(15, '"a"', None), FileVersion(16, None, None)):
        with pytest.raises(ChangedError):
            Body(transport, f"{server.url}/a.bin", start=5, version=version)


def test_a_coded_body_is_refused(server, transport):
    server.faults.append(lambda h: h.answer(200, b"abc", {"Content-Encoding": "br"}) or True)
    with pytest.raises(ValueError, match="content coding 'br'"):
        Body(transport, f"{server.url}/a.bin")


def test_weak_etags_do_not_vouch_for_bytes():
    assert FileVersion(1, 'W/"a"', None).validator is None
    assert FileVersion(1, 'W/"a"', "Fri, 01 Jan 2021 00:00:00 GMT").validator.startswith("Fri")
    assert FileVersion(1, '"a"', "Fri, 01 Jan 2021 00:00:00 GMT").validator == '"a"'


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "x", "http://"])
def test_only_the_web_is_read(transport, url):
    with pytest.raises(ValueError, match="no http:// or https:// URL"):
        Body(transport, url)


def test_a_closed_port_is_told(transport):
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9/a: cannot be read .*refused"):
        Body(transport, "http://127.0.0.1:9/a")


def test_a_transfer_can_be_stopped(server, transport):
    server.faults.append(lambda h: setattr(h, "pace", 20_000))
    body = Body(transport, f"{server.url}/a.bin")
    threading.Timer(0.1, transport.stopping.set).start()
    with pytest.raises(StoppedError):
        read_all(body)
    with pytest.raises(StoppedError):
        Body(transport, f"{server.url}/a.bin")
