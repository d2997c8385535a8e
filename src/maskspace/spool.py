"""What is told of runs waits on disk until the tracking store has it: an outage loses nothing.

Input: what a training or an evaluation tells. Idea: everything is first a line of a file, the
spool; lines are sent in their order, and how many were sent is remembered, so that one that could
not be sent waits. Steps: tell; send now and then; what is left at the end is sent by
`send_spooled`, which later stages and the launcher call. Cost: a file a run, no import of MLflow
where nothing is sent.

One training is one run whatever restarts: its spool lies in a folder named by its work folder, and
keeps the run's id and the last step that was told.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskspace import tracking
from maskspace.files import write_whole

#: Spools, in the folder of all unfinished work.
WORK = ".work"
SPOOLS = Path(WORK, "tracking")
EVENTS, STATE, FILES = "events.jsonl", "state.json", "files"


class Spool:
    """The lines of one run, on disk until they are sent.

    Example:
        >>> import tempfile
        >>> spool = Spool(Path(tempfile.mkdtemp(), "clicker"), experiment="clicker", name="clicker")
        >>> spool.metrics({"val_loss": 0.5}, step=10)
        >>> spool.metrics({"val_loss": 0.5}, step=10)  # a restart tells it again
        >>> spool.pending
        1
    """

    def __init__(
        self, folder: Path, *, experiment: str = "", name: str = "", parent: str | None = None
    ) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / STATE).is_file():
            self._keep(
                experiment=experiment,
                name=name,
                parent=parent,
                key=uuid.uuid4().hex,
                run_id=None,
                sent=0,
                told=-1,
                status=None,
            )

    @property
    def state(self) -> dict[str, Any]:
        """Return what is known of the run.

        experiment, name: its own; parent: the folder's name of the spool that it is shown under.
        key: a tag by which a run is found whose id was not kept; run_id: None before it is sent.
        sent: lines that the store has; told: the last step that was told.
        status: None while it goes on, FINISHED or FAILED.
        """
        return json.loads((self.folder / STATE).read_text())

    def _keep(self, **changed: object) -> None:
        known = self.state if (self.folder / STATE).is_file() else {}
        write_whole(self.folder / STATE, json.dumps(known | changed) + "\n")

    def tell(self, kind: str, **content: object) -> None:
        """Add a line: what is told, and when."""
        line = json.dumps({"kind": kind, "time": int(1000 * time.time()), **content})
        with self._lock, (self.folder / EVENTS).open("a") as file:
            file.write(line + "\n")

    def begin(
        self,
        params: Mapping[str, object],
        *,
        inputs: Sequence[tracking.Input] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Tell params, tags and the data that is read; a restart tells them once more, as it is."""
        self._keep(status=None)
        self.tell("tags", tags={**source_tags(), **(tags or {})})
        if self.state["told"] < 0:
            self.tell("params", params=json.loads(json.dumps(params, default=str)))
            self.tell("inputs", inputs=[vars(one) for one in inputs])
            self._keep(told=0)

    def metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Tell the figures of a step, once: a step up to the last that was told adds nothing."""
        if step <= self.state["told"]:
            return
        self.tell("metrics", metrics=dict(metrics), step=step)
        self._keep(told=step)

    def file(self, path: Path, folder: str) -> None:
        """Tell of a file that belongs to the run; a copy waits here."""
        kept = self.folder / FILES / folder / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
        self.tell("file", path=str(kept.relative_to(self.folder)), folder=folder)

    def made(self, folder: Path) -> None:
        """Tell of the weights that came of it, in a model's folder, and send all that waits."""
        self.tell("tags", tags={tracking.WEIGHTS: weights_hash(folder)})
        self.close("FINISHED")
        Sender([self]).send()

    def close(self, status: str) -> None:
        """Tell that the run is over: FINISHED or FAILED."""
        self.tell("end", status=status)
        self._keep(status=status)

    @property
    def pending(self) -> int:
        """Return how many lines are not sent."""
        return len(self._lines()) - self.state["sent"]

    def _lines(self) -> list[str]:
        with suppress(FileNotFoundError):
            text = (self.folder / EVENTS).read_text()
            return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return []

    def send(self) -> None:
        """Send what is not sent; ValueError if the store refuses, and the rest waits.

        A line is counted as sent when the store has it. One that was sent just before a kill is
        sent again, which changes nothing: it has the time at which it was told.
        """
        waiting = self._lines()[self.state["sent"] :]
        if not waiting:
            return
        state = self.state
        over = None if state["parent"] is None else Spool(self.folder.parent / state["parent"])
        run = tracking.resumed(
            state["experiment"],
            state["name"],
            run_id=state["run_id"],
            key=state["key"],
            parent=None if over is None else over.state["run_id"],
        )
        self._keep(run_id=run.id)
        for number, line in enumerate(waiting, start=state["sent"] + 1):
            self._send(run, json.loads(line))
            self._keep(sent=number)
        if self.state["status"] is not None:  # all has been sent; what is left knows the run
            (self.folder / EVENTS).unlink()
            shutil.rmtree(self.folder / FILES, ignore_errors=True)
            self._keep(sent=0)

    def _send(self, run: tracking.Run, event: Mapping[str, Any]) -> None:
        match event["kind"]:
            case "tags":
                run.set_tags(event["tags"])
            case "params":
                run.log_params(event["params"])
                run.log_json(event["params"], "params.json")
            case "inputs":
                run.log_inputs([tracking.Input(**one) for one in event["inputs"]])
            case "metrics":
                run.log_metrics(event["metrics"], event["step"], at_ms=event["time"])
            case "file":
                path = self.folder / event["path"]
                if path.is_file():
                    run.log_figure(path, event["folder"])
            case "end":
                run.end(event["status"], at_ms=event["time"])


def spool_of(work: Path, *, experiment: str, name: str, parent: str | None = None) -> Spool:
    """Return the spool of what is made in a work folder: the same for the same folder.

    Example:
        >>> spool_of(Path(".work/clicker-0123/run"), experiment="e", name="n").folder.name
        'clicker-0123-run'
    """
    return Spool(SPOOLS / _folder_name(work), experiment=experiment, name=name, parent=parent)


def _folder_name(work: Path) -> str:
    parts = work.parts
    if WORK in parts:
        parts = parts[parts.index(WORK) + 1 :]
    return "-".join(part for part in parts if part != os.sep)


class Sender:
    """Sends spools, and says on stderr when the store stops and when it begins to answer."""

    def __init__(self, spools: Sequence[Spool]) -> None:
        self._spools, self._is_out = spools, False

    def send(self) -> None:
        """Send all that waits, or leave it where it is."""
        try:
            for spool in self._spools:
                spool.send()
        except ValueError as error:
            if not self._is_out:
                sys.stderr.write(f"tracking: {error}; kept in {SPOOLS}, sent when it answers\n")
            self._is_out = True
            return
        if self._is_out:
            sys.stderr.write("tracking: the store answers again; all that was kept is sent\n")
        self._is_out = False


def send_spooled(folder: Path = SPOOLS) -> None:
    """Send what runs before have left unsent; what the store refuses waits on.

    Example:
        >>> send_spooled(Path("no/such/folder"))  # nothing is left
    """
    spools = [Spool(path.parent) for path in sorted(folder.glob(f"*/{EVENTS}"))]
    Sender([spool for spool in spools if spool.state["status"] and spool.pending]).send()


def record_evaluation(
    work: Path, name: str, *, params: Mapping[str, object], metrics: Mapping[str, Any]
) -> None:
    """Leave an evaluation in its spool: MODEL -> METRIC -> value; the launcher sends it."""
    spool = spool_of(work, experiment="evaluate", name=name)
    if spool.state["status"] is not None:
        return
    spool.begin(params)
    flat = {
        f"{model}.{key}": float(value)
        for model, values in metrics.items()
        if isinstance(values, Mapping)
        for key, value in values.items()
        if isinstance(value, int | float)
    }
    spool.metrics(flat, step=1)
    spool.close("FINISHED")


def source_tags() -> dict[str, str]:
    """Return who runs what code: user, commit, whether it was changed, DVC's experiment.

    Example:
        >>> "mlflow.user" in source_tags()
        True
    """
    tags = {"mlflow.user": tracking.user(), "mlflow.source.name": " ".join(sys.argv[:2])}
    commit = _git("rev-parse", "HEAD")
    if commit:
        changed = _git("status", "--porcelain", "--untracked-files=no")
        tags |= {"mlflow.source.git.commit": commit, "git.changed": str(bool(changed)).lower()}
    if "DVC_EXP_NAME" in os.environ:
        tags["dvc.experiment"] = os.environ["DVC_EXP_NAME"]
    return tags


def _git(*arguments: str) -> str:
    """Return what git says, or nothing where there is no git or no repository."""
    with suppress(OSError):
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


def shard_inputs(folder: Path, datasets: Iterable[str]) -> list[tracking.Input]:
    """Return the validated shards of datasets, `folder/NAME`, as inputs of a run.

    Example:
        >>> shard_inputs(Path("build/validate"), [])
        []
    """
    found = []
    for name in datasets:
        path = folder / name / "manifest.json"
        totals = json.loads(path.read_text()).get("totals", {})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        found.append(tracking.Input(name=name, digest=digest, source=str(path), profile=totals))
    return found


def weights_hash(folder: Path) -> str:
    """Return a hash of the weights in a model's folder: the tag by which its training is found."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
