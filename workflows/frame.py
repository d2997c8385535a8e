"""What every stage shares: one-line errors, unfinished work that survives a kill, outputs by rename.

DVC deletes a stage's outputs before it runs, so unfinished work lives in `.work/`, in a folder named
by a hash of everything the stage depends on: the files that dvc.yaml lists under `deps` and the
values it lists under `params`. The same stage, asked again for the same thing, finds its folder and
goes on; a changed input names another folder, and the old one is removed.
"""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from maskspace.config import read_params

WORK = Path(".work")


def stage_main(main: Callable[..., None]) -> None:
    """Run a stage's `main(*arguments)` from the command line; exit 1 with one line if it fails.

    Files and parameters that are wrong are ValueErrors, told in one line; anything else is a defect
    and keeps its traceback.
    """
    die_with_parent()
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        name = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies.

    Without it a killed `dvc repro` leaves its stage running, and the next run works beside it.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def work_folder(stage: str, item: str = "") -> Path:
    """Return the folder for the unfinished work of `stage` (of `item`, if it is a foreach stage)."""
    name = f"{stage}@{item}" if item else stage
    folder = WORK / f"{name}-{fingerprint(stage, item)[:16]}"
    for other in WORK.glob(f"{name}-*"):
        if other.name != folder.name and len(other.name) == len(folder.name):
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
    described = read_params(Path("dvc.yaml"))["stages"][stage]
    params = read_params(Path("params.yaml"))
    described = described.get("do", described)
    values = {"key": item, **_flat(params.get(stage, {}).get(item, {}), "item")}
    digest = hashlib.sha256()
    for template in sorted(described.get("deps", [])):
        path = Path(_fill(template, values))
        digest.update(f"{path}\0".encode())
        for file in _files(path):
            digest.update(f"{file}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    for template in described.get("params", []):
        value: object = params
        for key in _fill(template, values).split("."):
            value = value[key] if isinstance(value, Mapping) else None
        digest.update(json.dumps([template, value], sort_keys=True).encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """Yield the files that stand for `path`: of shards only the manifest, which holds their hashes."""
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


def _flat(value: object, prefix: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {prefix: str(value)}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}.{key}").items()}


def _fill(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace("${" + name + "}", value)
    return template


def _link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
