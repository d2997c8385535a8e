"""Trainings that are recorded while they run: rows of their histories, pictures, the system."""

import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from maskspace import tracking
from maskspace.spool import Sender, Spool, spool_of
from maskspace.training.checkpoint import PICTURES, Progress
from maskspace.training.trainings import Training

#: Seconds between two looks at what a training has written, and two samples of the system.
_LOOK_S, _SAMPLE_S = 5.0, 15.0


@contextmanager
def recorded(
    trainings: Mapping[Spool, Path], *, look_s: float = _LOOK_S, sample_s: float = _SAMPLE_S
) -> Iterator[None]:
    """Record trainings by the histories in their folders, while inside; the first the system too.

    Their spools have begun. An outage of the store is told once, and what it missed is sent when it
    answers again; a training never fails by it.
    """
    stop = threading.Event()
    followers = [_Follower(spool, folder) for spool, folder in trainings.items()]
    sender = Sender(list(trainings))

    def follow() -> None:
        sampled = 0.0
        while not stop.wait(look_s):
            for follower in followers:
                follower.look()
            if followers and time.monotonic() - sampled > sample_s:
                followers[0].sample()
                sampled = time.monotonic()
            sender.send()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        stop.set()
        thread.join()
        for follower in followers:
            follower.look()
            follower.end(status)
        sender.send()


def begin_each(
    trainings: Iterable[Training], run: Path, *, experiment: str, inputs: Sequence[tracking.Input]
) -> dict[Spool, Path]:
    """Return the spools of trainings, begun, with their folders under `run`; their parent first."""
    parent = spool_of(run.parent, experiment=experiment, name=experiment)
    parent.begin({}, inputs=inputs)
    spools = {parent: run}
    for training in trainings:
        folder = run / training.name
        spool = spool_of(
            folder, experiment=experiment, name=training.name, parent=parent.folder.name
        )
        if spool.state["status"] != "FINISHED":
            spool.begin({"optimisation": vars(training.optimisation), **training.provenance})
            spools[spool] = folder
    return spools


class _Follower:
    """Tells the spool of a training what its folder gains."""

    def __init__(self, spool: Spool, folder: Path) -> None:
        self._spool, self._progress = spool, Progress(folder)

    def look(self) -> None:
        for row in self._progress.history():
            metrics = {k.replace("/", "_level_"): v for k, v in row.items() if k != "step"}
            self._spool.metrics(metrics, step=int(row["step"]))

    def sample(self) -> None:
        rows = self._progress.history()
        self._spool.tell(
            "metrics", metrics=system_metrics(), step=int(rows[-1]["step"]) if rows else 0
        )

    def end(self, status: str) -> None:
        for picture in sorted((self._progress.folder / PICTURES).glob("*.png")):
            self._spool.file(picture, PICTURES)
        self._spool.close(status)


def system_metrics() -> dict[str, float]:
    """Return what this machine is doing, by MLflow's names for it.

    Example:
        >>> sorted(system_metrics())[0]
        'system/cpu_utilization_percentage'
    """
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(".")
    network = psutil.net_io_counters()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": (memory.total - memory.available) / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/disk_available_megabytes": disk.free / 1e6,
        "system/network_receive_megabytes": network.bytes_recv / 1e6,
        "system/network_transmit_megabytes": network.bytes_sent / 1e6,
    }
