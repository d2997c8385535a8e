"""The launcher, `make repro`: one DVC run with one local Ray, and what came of it at the end.

    python -m workflows [--profile NAME] [--dry-run] [STAGE ...]

Exit status 0 when everything is made, 1 when a stage failed, 2 for what the caller got wrong, 130
when interrupted.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskspace import parallel, tracking
from maskspace.spool import send_spooled
from workflows import deps, plan, profiles
from workflows.frame import WORK, adopt_orphans, die_with_parent, end_orphans, require_servers

RECEIPT = Path("build/register/receipt.json")

_ENVIRONMENT = {
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}


def main(arguments: list[str]) -> int:
    """Run the pipeline and return the exit status."""
    options = _parser().parse_args(arguments)
    start = time.monotonic()
    try:
        workspace = _enter(options.profile)
        plan.check_stages(options.stages)
        plan.check_params(Path("params.yaml"))
        _follow_code(options.profile, dry_run=options.dry_run)
        if options.dry_run:
            print(plan.describe(options.stages, plan.changes()))
            return 0
        require_servers()
        plan.check_inputs()
        with _alone():
            return _run(options.stages, workspace, start)
    except ValueError as error:
        print(f"maskspace: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--profile", metavar="NAME", help="profiles/NAME.yaml over params.yaml")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="only these, with their needs")
    return parser


def _enter(profile: str | None) -> Path:
    """Go to the workspace of the run and return where it is, seen from here."""
    if not Path("dvc.yaml").is_file():
        raise ValueError("dvc.yaml: no such file; run from the repository's root")
    if profile is None:
        return Path()
    here = Path.cwd()
    workspace = profiles.prepare(profile)
    os.chdir(workspace)
    paths = [str(workspace / "src"), str(workspace)]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    return workspace.relative_to(here)


def _follow_code(profile: str | None, *, dry_run: bool) -> None:
    """Bring the deps of dvc.yaml to what the code and the parameters ask for; of ours, say so."""
    if profile is not None:
        deps.update()
    elif dry_run and deps.is_behind():
        print("dvc.yaml: deps are not the code's; a run writes them anew", file=sys.stderr)
    elif not dry_run and deps.update():
        print("dvc.yaml: deps were not the code's; written anew", file=sys.stderr)


def _run(stages: list[str], workspace: Path, start: float) -> int:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    os.environ["MASKSPACE_LAUNCHER"] = str(os.getpid())
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    _check_receipt()
    _clear_dead_locks()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="maskspace-") as scratch:
        with parallel.offer_local_ray(Path(scratch, "ray")):
            status = _reproduce(stages)
        end_orphans()
    send_spooled()
    if status == 0:
        print(_summary(workspace, time.monotonic() - start))
    return status


def _reproduce(stages: list[str]) -> int:
    """Run DVC on the stages, or on all, and return the launcher's exit status."""
    command = [sys.executable, "-m", "dvc", "repro", "--pull", *stages]
    child = subprocess.Popen(command, preexec_fn=die_with_parent)
    try:
        status = child.wait()
    except KeyboardInterrupt:
        # The terminal has sent the same signal to DVC and to the stage; DVC releases its locks.
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            child.wait(timeout=20)
        child.kill()
        return 130
    if status != 0:
        print("maskspace: stopped; what is done is kept, `make repro` goes on", file=sys.stderr)
    return 0 if status == 0 else 1


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the workspace's lock; it is the kernel's, so a killed launcher leaves none behind."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "launcher.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"another run is at work here (process {file.read().strip()}); wait for it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _clear_dead_locks() -> None:
    """Remove DVC's table of locks when none of the processes it names is a DVC that still runs.

    DVC itself only asks whether a process of that number exists, and numbers are used again.
    """
    table = Path(".dvc/tmp/rwlock")
    with suppress(FileNotFoundError, json.JSONDecodeError):
        held = json.loads(table.read_text())
        holders = [entry.get("write", {}) for entry in held.values()]
        holders += [reader for entry in held.values() for reader in entry.get("read", [])]
        if any(_is_dvc(holder["pid"]) for holder in holders if "pid" in holder):
            return
        table.unlink()


def _is_dvc(pid: int) -> bool:
    with suppress(OSError):
        return b"dvc" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _check_receipt() -> None:
    """Spoil a receipt that is missing or not honoured by the registry, so that DVC registers again.

    Removing it would not do: `dvc repro --pull` passes over an output that is missing and not in
    the cache, but runs a stage again whose output has changed.
    """
    receipt = _receipt()
    if receipt is not None and tracking.holds(receipt):
        return
    if receipt is not None:
        print(f"maskspace: the registry no longer holds what {RECEIPT} says; registering again")
    RECEIPT.parent.mkdir(parents=True, exist_ok=True)
    RECEIPT.write_text("{}\n")


def _receipt() -> tracking.Receipt | None:
    with suppress(FileNotFoundError, ValueError):
        return tracking.read_receipt(RECEIPT)
    return None


def _summary(workspace: Path, seconds: float) -> str:
    """Return the table of metrics, where the pictures are, the registered version and the time."""
    lines = []
    rows = list(_metric_rows())
    if rows:
        titles = ("dataset", "model", *plan.SUMMARY_METRICS.values())
        lines += ["", *_table([titles, *rows])]
        lines.append(f"reports: {workspace / 'build/report'}/*/report.html, pictures beside them")
    receipt = _receipt()
    if receipt is not None:
        standing = "champion" if receipt.champion else f"not champion: {receipt.reason}"
        lines.append(
            f"registered: models:/{receipt.name}/{receipt.version} "
            f"({standing}; {receipt.metric} {receipt.value:.3f})"
        )
    lines.append(f"done in {seconds:.0f} s")
    return "\n".join(lines)


def _metric_rows() -> Iterator[tuple[str, ...]]:
    for path in sorted(Path("build/evaluate").glob("*/metrics.json")):
        for dataset, models in json.loads(path.read_text()).items():
            if not isinstance(models, dict):
                continue
            for model, metrics in models.items():
                if isinstance(metrics, dict):
                    yield (dataset, model, *(_cell(metrics, key) for key in plan.SUMMARY_METRICS))


def _cell(metrics: dict[str, object], key: str) -> str:
    value = metrics.get(key)
    return f"{value:.3f}" if isinstance(value, float | int) else "-"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


if __name__ == "__main__":
    if "MAKELEVEL" in os.environ:
        die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
