"""Which images `maskspace segment` has to do: files, folders, patterns; what is done already."""

import argparse
import glob
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maskspace.cli.frame import write_files
from maskspace.cli.picture_files import PICTURES
from maskspace.cli.segment_files import ENDINGS

#: In the folder of the results: the options with which they were written.
SETTINGS = ".segment.json"
#: Options that say nothing of what is written.
_NO_MATTER = {"images", "out", "workers", "resume", "max_left_out"}


class Job(NamedTuple):
    """An image file, where its results lie under the output, and what it is called.

    Example:
        >>> Job(Path("in/a.jpg"), Path("a"), Path("a.jpg")).photo.name
        'a.jpg'
    """

    photo: Path
    place: Path
    name: Path


def expanded(given: Sequence[Path]) -> Iterator[Path]:
    """Yield paths, and for a pattern with *, ? or [] the paths that match it, in natural order.

    A path that exists is none. Raises ValueError for a pattern that nothing matches.

    Example:
        >>> list(expanded([Path("photo.jpg")]))
        [PosixPath('photo.jpg')]
    """
    from maskspace.data.listings import natural

    for path in given:
        if path.exists() or not glob.has_magic(str(path)):
            yield path
            continue
        matching = sorted(glob.glob(str(path), recursive=True), key=natural)
        if not matching:
            raise ValueError(f"{path}: no file matches this pattern")
        yield from map(Path, matching)


def outputs_of(job: Job, options: argparse.Namespace) -> list[Path]:
    """Return the files that an image's results are written to.

    Example:
        >>> options = argparse.Namespace(out=Path("out"), format="svg", pictures=("mosaic",))
        >>> job = Job(Path("a.jpg"), Path("a"), Path("a.jpg"))
        >>> [path.name for path in outputs_of(job, options)]
        ['a.svg', 'a.mosaic.png']
    """
    out = options.out / job.place
    endings = [*ENDINGS[options.format], *(PICTURES[name][0] for name in options.pictures)]
    return [out.with_name(out.name + ending) for ending in endings]


def left_to_do(jobs: Sequence[Job], options: argparse.Namespace) -> list[Job]:
    """Return the images without results that are newer than they are, by the same options.

    The options are kept in the folder of the results. What was written without them is not known to
    be by the same ones, and is done again. Raises ValueError where they were others.
    """
    settings = _settings(options)
    file = options.out / SETTINGS
    if not file.exists():
        write_files({file: json.dumps(settings, indent=1).encode()})
        return list(jobs)
    try:
        known = json.loads(file.read_text())
    except ValueError:
        raise ValueError(f"{file}: is not what --resume wrote; remove it") from None
    others = sorted(key for key in settings if known.get(key) != settings[key])
    if others:
        raise ValueError(
            f"{options.out}: was written with another --{others[0].replace('_', '-')}; give the "
            "same options, or another --out"
        )
    began = file.stat().st_mtime_ns
    return [job for job in jobs if not _is_done(job, options, began)]


def _is_done(job: Job, options: argparse.Namespace, began: int) -> bool:
    try:
        since = max(began, job.photo.stat().st_mtime_ns)
        return all(path.stat().st_mtime_ns >= since for path in outputs_of(job, options))
    except OSError:  # a file is not there; what is wrong with an image is said when it is read
        return False


def _settings(options: argparse.Namespace) -> dict[str, object]:
    """Return the options that decide what is written, as JSON gives them back."""
    given = vars(options).items()
    said = {key: value for key, value in given if key not in _NO_MATTER and not callable(value)}
    folder = Path(options.model)
    weights = folder.rglob("*") if folder.is_dir() else [folder] if folder.is_file() else []
    said["model"] = [options.model, *sorted(path.stat().st_mtime_ns for path in weights)]
    return json.loads(json.dumps(said))
