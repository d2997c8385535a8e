import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from maskspace import parallel

DRIVER = """
import os, sys, time
from pathlib import Path
from maskspace.parallel import connect, map_here, map_units

def square(x):
    return x * x

def refuse(x):
    raise ValueError(f"{x}.tar: cut; fetch it again")

def die_once(unit):
    number, mark = unit
    if number == 3 and not Path(mark).exists():
        Path(mark).touch()
        os._exit(1)
    return number

def wait_for_the_last(unit):
    number, folder = unit
    here = Path(folder) / f"{number}.begun"
    here.touch()
    ended = len(list(Path(folder).glob("*.ended")))
    begun = len(list(Path(folder).glob("*.begun")))
    while number == 0 and not (Path(folder) / "5.ended").exists():
        time.sleep(0.05)
    (Path(folder) / f"{number}.ended").touch()
    return number, begun - ended

def wait(unit):
    threading.Event().wait()  # until it is killed

if __name__ == "__main__":
    scratch = Path(sys.argv[1])
    with connect():
        assert list(map_units(square, range(50))) == list(map_here(square, range(50)))
        units = [(number, str(scratch / "died")) for number in range(6)]
        assert list(map_units(die_once, units)) == list(range(6))
        assert (scratch / "died").exists()
        try:
            list(map_units(refuse, range(4)))
        except ValueError as error:
            assert str(error) == "0.tar: cut; fetch it again"
        folder = scratch / "two"
        folder.mkdir()
        found = list(map_units(wait_for_the_last, [(n, str(folder)) for n in range(6)], workers=2))
        assert [number for number, _ in found] == list(range(6))
        assert max(together for _, together in found) <= 2
        taken = []
        lazy = map_units(square, (taken.append(n) or n for n in range(100)), workers=2)
        assert [next(lazy) for _ in range(5)] == [0, 1, 4, 9, 16]
        assert len(taken) <= 5 + 4 * 2, taken  # the window is four units a worker
        assert list(lazy) == [n * n for n in range(5, 100)]
    print("done", flush=True)
    if len(sys.argv) > 2:
        list(map_units(wait, range(600)))
"""


def start_driver(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    path = tmp_path / "driver.py"
    path.write_text(DRIVER)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, str(path), str(tmp_path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_here_results_come_in_order_and_lazily():
    asked = []

    def remember(unit: int) -> int:
        asked.append(unit)
        return unit

    results = parallel.map_here(remember, [3, 1, 2])
    assert asked == []
    assert next(results) == 3
    assert asked == [3]
    assert list(results) == [1, 2]


def test_no_unit_and_one_unit_start_no_ray(tmp_path):
    path = tmp_path / "driver.py"
    path.write_text(
        "import sys\n"
        "from maskspace import parallel\n"
        "assert list(parallel.map_units(abs, [])) == []\n"
        "assert list(parallel.map_units(abs, [-2])) == [2]\n"
        'assert "ray" not in sys.modules\n'
    )
    subprocess.run([sys.executable, str(path)], check=True, timeout=60)


def test_a_launcher_that_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("MASKSPACE_RAY", str(tmp_path / "ray"))
    with pytest.raises(ValueError, match=r"MASKSPACE_RAY=.*no launcher"), parallel.connect():
        pass


@pytest.mark.fault
def test_ray_maps_as_here_survives_a_dead_worker_and_tells_errors_as_they_are(tmp_path):
    told, complaint = start_driver(tmp_path).communicate()
    assert told.endswith("done\n"), complaint


@pytest.mark.fault
def test_a_killed_driver_leaves_no_ray_behind(tmp_path):
    driver = start_driver(tmp_path, "wait")
    assert driver.stdout is not None
    assert any(line == "done\n" for line in driver.stdout)
    mine = psutil.Process(driver.pid)
    assert wait_until(lambda: any("raylet" in p.name() for p in mine.children(recursive=True)))
    family = mine.children(recursive=True)
    driver.kill()
    driver.wait()
    assert wait_until(lambda: not any(alive(process) for process in family))


def wait_until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 300
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_local_ray_is_only_started_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with parallel.offer_local_ray(tmp_path / "ray"):
        assert os.environ["MASKSPACE_RAY"] == str(tmp_path / "ray")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "ray").encode())
    assert "MASKSPACE_RAY" not in os.environ


def test_fresh_units_have_a_process_each_whatever_cluster_was_here(monkeypatch):
    """Word of a cluster that is gone, as `ray start` leaves it, is not followed."""
    with tempfile.TemporaryDirectory(
        ignore_cleanup_errors=True
    ) as folder:  # the path of a socket is short
        monkeypatch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        with parallel.connect():
            found = list(parallel.map_units(process_of, range(4), fresh=True))
    assert len(set(found)) == 4


def process_of(unit: int) -> int:
    del unit
    return os.getpid()


def test_units_are_taken_as_they_are_asked_for_and_counted_if_they_can_be(capsys):
    taken = []

    def units():
        for unit in range(100):
            taken.append(unit)
            yield unit

    results = parallel.map_here(abs, units())
    for wanted in range(5):
        assert next(results) == wanted
        assert len(taken) == wanted + 1
    for total in (7, 0):
        progress = parallel.PaceLine("images", total, every_s=0.0)
        progress.step()
        assert ("1 of 7," in capsys.readouterr().err) == bool(total)
