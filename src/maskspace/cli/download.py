"""`maskspace download`: a published dataset -> a folder."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from maskspace.cli.frame import complain, count

if TYPE_CHECKING:
    from maskspace.download.tasks import Request


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("bsds500 --out data --limit 3".split()).limit
        3
    """
    command.description = (
        "Download a dataset from where it is published, after showing its licence. A run that was "
        "broken off goes on where it was; nothing that is not whole and checked has its final "
        "name. See docs/download.md for sizes and for steps that are done by hand."
    )
    command.add_argument(
        "dataset", nargs="?", metavar="DATASET", help="its name; --list alone says which there are"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="folder to write to")
    command.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="the first N frames of hypersim and davis, the first N files of others (default all)",
    )
    command.add_argument(
        "--contains",
        nargs="+",
        action="extend",
        default=[],
        metavar="WORD",
        help="only what has every WORD in its name: members of hypersim's and davis' zips, files "
        "of others; A,B as a WORD stands for A or B (default: what the reader of it reads)",
    )
    command.add_argument(
        "--links", type=Path, metavar="FILE", help="the file of links that a licence gives (sa1b)"
    )
    command.add_argument(
        "--jobs", type=count, default=4, metavar="N", help="transfers at once (default 4)"
    )
    command.add_argument(
        "--bandwidth",
        type=count,
        metavar="BYTES_PER_S",
        help="at most so many bytes a second, all transfers together (default no limit)",
    )
    command.add_argument(
        "--mirror",
        default=os.environ.get("MASKSPACE_MIRROR"),
        metavar="URL",
        help="a folder on the web with the files under their own names (default: MASKSPACE_MIRROR, "
        "or where they are published)",
    )
    command.add_argument("--list", action="store_true", help="say what would be fetched, and stop")
    command.add_argument("--yes", action="store_true", help="do not ask whether the terms are met")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("download no-such-dataset --out out".split())
        2
    """
    from maskspace.download.tasks import Request, overview, terms

    if options.dataset is None:
        if not options.list:
            raise ValueError("no DATASET; --list says which there are")
        print(overview())
        return 0
    if options.out is None and not options.list:
        raise ValueError(f"{options.dataset}: no --out DIR; give the folder to write to")
    with tempfile.TemporaryDirectory() as scratch:
        request = Request(
            dataset=options.dataset,
            out=Path(scratch if options.list else str(options.out)),
            limit=options.limit,
            contains=tuple(options.contains),
            links=options.links,
            mirror=options.mirror,
        )
        print(terms(request), flush=True)
        asked = sys.stdin.isatty() and not (options.list or options.yes)
        if asked and not _agrees("Download it under these terms? [y/N] "):
            raise ValueError(f"{options.dataset}: not downloaded; answer y, or give --yes")
        return _transfer(request, options)


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def _transfer(request: "Request", options: argparse.Namespace) -> int:
    """Download, or list what would be, and say what came of it."""
    from maskspace.download.tasks import fetch_dataset, tasks
    from maskspace.download.transport import Transport

    try:
        with Transport(jobs=options.jobs, bandwidth=options.bandwidth) as transport:
            if options.list:
                for task in tasks(request, transport, jobs=options.jobs):
                    for name, size in task.files.items():
                        print(name, "" if size is None else f" {size} bytes")
                return 0
            report = fetch_dataset(request, transport, jobs=options.jobs)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"{error.filename or request.out}: {reason}; correct --out") from None
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it was")
        return 130
    for failure in report.failures[:20]:
        complain(failure)
    if len(report.failures) > 20:
        complain(f"and {len(report.failures) - 20} more failed; run again to fetch what is missing")
    kept = f"{report.files} files, {report.received} bytes received"
    print(f"{request.out}: {kept}; read it with --data {request.official.kind}:{request.out}")
    return 2 if report.failures else 0
