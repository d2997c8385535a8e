"""`maskspace shards`: look into folders of shards."""

import argparse
from pathlib import Path


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("info build/shards/scenes".split()).path
        'build/shards/scenes'
    """
    command.description = "Look into folders of shards."
    commands = command.add_subparsers(metavar="COMMAND", required=True)
    info = commands.add_parser("info", help="what is inside: counts, histograms, a contact sheet")
    info.description = (
        "Print the counts of each split: samples, masks, megabytes, image sizes, and histograms of "
        "mask areas in pixels, masks of an image, nesting and image sides, in percent. With --out "
        "it also writes histograms.png and contact_sheet.png in DIR."
    )
    info.add_argument(
        "path", metavar="PATH", help="a folder with manifest.json, or its URL, such as s3://b/coco"
    )
    info.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the pictures, made if missing"
    )
    info.add_argument(
        "--recount",
        action="store_true",
        help="count the records themselves, on all cores, not what the manifest says of them",
    )
    info.set_defaults(run=_shards_info)


def _shards_info(options: argparse.Namespace) -> int:
    from maskspace.data.summary import counts_by_split, summary_text, write_pictures
    from maskspace.parallel import map_units

    counts = counts_by_split(options.path, recount=options.recount, map_units=map_units)
    print(summary_text(options.path, counts), end="")
    if options.out is None:
        return 0
    try:
        written = write_pictures(options.path, counts, options.out)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    print(*written, sep="\n")
    return 0
