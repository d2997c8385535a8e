"""What every stage shares: errors in one line, work that survives a kill, outputs by rename.

DVC deletes a stage's outputs before it runs, so unfinished work lives in `.work/`, in a folder
named by a hash of everything the stage depends on: the files that dvc.yaml lists under `deps` and
the values it lists under `params`. The same stage, asked again for the same thing, finds its folder
and goes on; a changed input names another folder, and the old one is removed.
"""

import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskspace import parallel, tracking
from maskspace.config import lookup, read_params

WORK = Path(".work")
#: A file a stage: the seconds that it took when it last ran to its end.
SECONDS = WORK / "seconds"

#: Raw files above this many bytes enter the hash by size and time of change: a terabyte of tars is
#: read once, by the stage, and not a second time to name its folder.
HASHED_BYTES = 64 * 2**20


def stage_main(main: Callable[..., None]) -> None:
    """Run a stage's `main(*arguments)` from the command line; exit 1 with one line if it fails.

    Exit 2, also with one line, where a server that the environment names does not answer.

    Files and parameters that are wrong are ValueErrors, and what the system refuses (a full disk, a
    missing permission) OSErrors: both are told in one line. Anything else is a defect and keeps its
    traceback.
    """
    die_with_parent()
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    name = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    try:
        require_servers()
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    begin = time.monotonic()
    try:
        main(*sys.argv[1:])
        _keep_seconds(name, time.monotonic() - begin)
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        print(f"{name}: {error.filename or 'system'}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None


def _keep_seconds(name: str, seconds: float) -> None:
    """Keep how long a stage took, for the next dry run; what takes paths is no stage."""
    if "/" in name:
        return
    SECONDS.mkdir(parents=True, exist_ok=True)
    (SECONDS / name.replace(" ", "@")).write_text(f"{seconds:.1f}\n")


def last_seconds(name: str) -> float | None:
    """Return how long a stage, or `STAGE@ITEM`, took when it last ran to its end here; or None."""
    try:
        return float((SECONDS / name).read_text())
    except (FileNotFoundError, ValueError):
        return None


def require_servers() -> None:
    """Raise ValueError in one line for a Ray or an MLflow of the environment that is not there.

    At the beginning, before anything is deleted, trained or registered.
    """
    parallel.require_cluster()
    tracking.require_store()


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies; end now if the launcher is dead.

    Without it a killed `dvc repro` leaves its stage running, and the next run works beside it. The
    launcher is looked at because it may have died while this process was still importing.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    launcher = int(os.environ.get("MASKSPACE_LAUNCHER", "0"))
    if launcher and not Path(f"/proc/{launcher}").exists() and Path("/proc/self").exists():
        raise SystemExit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent dies, so that `end_orphans` finds them."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1)


def end_orphans() -> None:
    """End every process that descends from this one."""
    tasks = Path("/proc/self/task")
    for listing in tasks.glob("*/children") if tasks.exists() else ():
        for pid in map(int, listing.read_text().split()):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def work_folder(stage: str, item: str = "") -> Path:
    """Return the folder for the unfinished work of `stage`, or of `item` of a foreach stage."""
    name = f"{stage}@{item}" if item else stage
    folder = WORK / f"{name}-{fingerprint(stage, item)[:16]}"
    if WORK.is_dir():
        for other in WORK.iterdir():
            same_stage = re.fullmatch(re.escape(name) + "-[0-9a-f]{16}", other.name)
            if same_stage and other != folder:
                shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish(work: Path, out: Path) -> None:
    """Let `out` appear, complete, with the files of `work`, which stay where they are.

    Files are hard links where the file system has them, so that a kill between this and DVC's own
    record costs nothing: the stage runs again, finds all its units done, and publishes once more.
    """
    partial = out.with_name(f".{out.name}.partial")
    remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    if work.is_dir():
        shutil.copytree(work, partial, copy_function=_link_or_copy)
    else:
        _link_or_copy(work, partial)
    remove(out)
    partial.replace(out)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fingerprint(stage: str, item: str = "") -> str:
    """Return a hash of the files and parameters that dvc.yaml says the stage depends on."""
    params = read_params(Path("params.yaml"))
    deps, names = dependencies(stage, item, params)
    digest = hashlib.sha256()
    for path in sorted(deps):
        digest.update(f"{path}\0".encode())
        for file in _files(path):
            digest.update(f"{file}\0".encode() + _content(file))
    for url in remote_inputs(stage, item, params):
        digest.update(json.dumps([url, _listing(url)]).encode())
    for name in names:
        value: object = params
        for key in name.split("."):
            value = value[key] if isinstance(value, Mapping) else None
        digest.update(json.dumps([name, value], sort_keys=True).encode())
    return digest.hexdigest()


def dependencies(
    stage: str, item: str, params: Mapping[str, object]
) -> tuple[list[Path], list[str]]:
    """Return the paths and the parameters that dvc.yaml lists for a stage, templates filled in."""
    described, values = _described(stage, item, params)
    filled = [_fill(template, values) for template in described.get("deps", [])]
    return (
        [Path(text) for text in dict.fromkeys(filled) if not is_url(text)],
        [_fill(template, values) for template in described.get("params", [])],
    )


def remote_inputs(stage: str, item: str, params: Mapping[str, object]) -> list[str]:
    """Return the URLs that dvc.yaml lists among a stage's dependencies, templates filled in."""
    described, values = _described(stage, item, params)
    return [text for t in described.get("deps", []) if is_url(text := _fill(t, values))]


def is_url(text: str) -> bool:
    """Return whether a dependency is no path; DVC, too, knows it by this."""
    return "://" in text


def _listing(url: str) -> list[list[str]]:
    """Return every file under a URL with its size and version, as the store lists them: no content.

    DVC itself does the same with an external dependency.
    """
    import fsspec  # few runs need it

    try:
        files, root = fsspec.url_to_fs(url)
        found = files.find(root, detail=True)
    except ImportError as error:
        raise ValueError(f"{url}: its driver is not installed ({error})") from None
    except OSError as error:
        raise ValueError(f"{url}: cannot be listed ({error}); check the URL") from None
    if not found:
        raise ValueError(f"{url}: no file there; correct the root")
    versions = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")
    return [
        [name, str(entry["size"]), next((str(entry[k]) for k in versions if k in entry), "")]
        for name, entry in sorted(found.items())
    ]


def outputs(stage: str, item: str, params: Mapping[str, object]) -> list[Path]:
    """Return the paths that dvc.yaml says a stage makes: its outs, metrics and plots."""
    described, values = _described(stage, item, params)
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in described.get(kind, [])]
    templates = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return [Path(_fill(template, values)) for template in templates]


def _described(
    stage: str, item: str, params: Mapping[str, object]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a stage's entry in dvc.yaml and the values of its templates.

    An item of a foreach stage is what params.yaml says of it, and `vars` beside it.
    """
    graph = read_params(Path("dvc.yaml"))
    described = graph["stages"][stage]
    values = {"key": item}
    if isinstance(described.get("foreach"), list):
        return described["do"], {"item": item}
    if "foreach" in described:
        name = described["foreach"].removeprefix("${").removesuffix("}")
        table = params[name]
        assert isinstance(table, Mapping)
        values |= _flat(lookup(table, item, kind=f"{stage}: dataset"), "item")
        for beside in graph.get("vars", []):
            values |= _flat(beside.get(name, {}).get(item, {}), "item")
        described = described["do"]
    return described, values


def _files(path: Path) -> Iterator[Path]:
    """Yield the files that stand for `path`: of shards the manifest, which has their hashes."""
    if not path.exists():
        raise ValueError(f"{path}: missing; run `dvc repro --pull`, which fetches or makes it")
    if path.is_file():
        yield path
    elif (path / "manifest.json").is_file():
        yield path / "manifest.json"
    else:
        for child in sorted(path.iterdir()):
            if child.name != "__pycache__" and not child.name.startswith("."):
                yield from _files(child)


def _content(file: Path) -> bytes:
    status = file.stat()
    if status.st_size > HASHED_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}".encode()
    return hashlib.sha256(file.read_bytes()).digest()


def _flat(value: object, prefix: str) -> dict[str, str]:
    """Return the leaves of a value by what templates call them: `item.root`, `item.code[0]`."""
    if isinstance(value, Mapping):
        inner = {f"{prefix}.{key}": item for key, item in value.items()}
    elif isinstance(value, list):
        inner = {f"{prefix}[{index}]": item for index, item in enumerate(value)}
    else:
        return {prefix: str(value)}
    return {k: v for name, item in inner.items() for k, v in _flat(item, name).items()}


def _fill(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace("${" + name + "}", value)
    return template


def _link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
