"""`maskspace click`: clicks on one image -> one mask, or a session of clicks in a file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from maskspace.cli.frame import (
    DEFAULT_MODEL,
    MODEL_HELP,
    Inputs,
    add_reading,
    check_model,
    count,
    note,
    place_of,
    png,
    read_photo,
    write_files,
)
from maskspace.cli.picture_files import level_lines
from maskspace.cli.polygon_files import geojson, svg
from maskspace.cli.segment_files import Segmented

if TYPE_CHECKING:
    import numpy as np

    from maskspace.segmenter import Segmenter
    from maskspace.session import ClickSession


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("photo.jpg --at 12,30 --out mask.png".split()).clicks
        [(12, 30, True)]
    """
    command.description = (
        "Write the mask that clicks describe: a PNG, 255 inside and 0 outside, or polygons. With "
        "--session the clicks are kept in a file, and the next call goes on with them."
    )
    command.add_argument("image", type=Path, metavar="IMAGE")
    command.add_argument(
        "--at",
        dest="clicks",
        type=_wanted,
        action="append",
        default=[],
        metavar="X,Y",
        help="a pixel of the object: column X and row Y from 0 at the top left; may be repeated",
    )
    command.add_argument(
        "--not",
        dest="clicks",
        type=_unwanted,
        action="append",
        default=[],
        metavar="X,Y",
        help="a pixel of what to leave out; may be repeated (default none)",
    )
    command.add_argument(
        "--model",
        metavar="NAME",
        help=f"{MODEL_HELP} (default that of the session's file, else student)",
    )
    add_reading(command)
    command.add_argument(
        "--session",
        type=Path,
        metavar="FILE",
        help="a JSON file of clicks on this image: read if it exists, written with the new clicks",
    )
    command.add_argument(
        "--undo",
        type=count,
        default=0,
        metavar="N",
        help="take back the session's last N clicks before the new ones (default 0)",
    )
    command.add_argument(
        "--start",
        type=Path,
        metavar="MASK.png",
        help="the mask that the clicks correct, of the image's size: object above half of its "
        "largest value (default that of the session's file, else empty)",
    )
    command.add_argument(
        "--level",
        type=float,
        metavar="T",
        help="the probability in (0, 1) above which a pixel is inside; higher is finer (default "
        "that of the session's file, else 0.5)",
    )
    command.add_argument(
        "--rule",
        choices=("claims", "largest", "iterative"),
        help="claims: the surest click that claims a pixel decides, in any order; largest: the "
        "surest of all clicks' maps; iterative: clicks one after the other, each given the map "
        "before it (default that of the session's file, else claims)",
    )
    command.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="MASK.png",
        help="a PNG file; or .svg or .geojson, the mask as polygons along the edges of pixels "
        "(geojson of a GeoTIFF in its map coordinates, with the extra geo)",
    )
    command.add_argument(
        "--level-lines",
        type=Path,
        metavar="FILE.png",
        help="draw too: the lines at the levels 0.1 to 0.9 of the clicks' probability, or of the "
        "tree of regions above them, lighter for higher (default none)",
    )
    command.set_defaults(run=run, refuse=command.error)


def _pixel(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y in whole pixels, such as 120,80")
    return int(parts[0]), int(parts[1])


def _wanted(text: str) -> tuple[int, int, bool]:
    return (*_pixel(text), True)


def _unwanted(text: str) -> tuple[int, int, bool]:
    return (*_pixel(text), False)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("click photo.jpg --at 1,1 --out mask.jpg".split())
        2
    """
    if options.model is not None:
        check_model(options.model)
    from maskspace.segmenter import told_smaller

    known = options.session is not None and options.session.exists()
    if options.out.suffix.lower() not in (".png", ".svg", ".geojson"):
        raise ValueError(f"{options.out}: give a name that ends in .png, .svg or .geojson")
    if options.undo and not known:
        options.refuse("--undo needs --session with a file that exists")
    if not (options.clicks or known):
        options.refuse("no clicks; give --at or --not, or --session with a file that exists")
    if options.level_lines is not None and options.level_lines.suffix.lower() != ".png":
        raise ValueError(f"{options.level_lines}: a picture is a PNG; give a name ending in .png")
    inputs = [options.image, *([] if options.start is None else [options.start])]
    outputs = (options.out, options.session, options.level_lines)
    Inputs(inputs).keep(path for path in outputs if path is not None)
    if options.session is not None:
        Inputs([options.session]).keep([options.out])
    image = read_photo(options.image, options)
    smaller = told_smaller(image)
    if smaller is not None:
        note(f"{options.image}: {smaller}")
    start = (
        None
        if options.start is None
        else _read_mask(options.start, (image.shape[0], image.shape[1]))
    )
    try:
        model, session = _taken_up(image, options.session if known else None, options.model)
        session.change(level=options.level, rule=options.rule, start=start)
        session.undo(options.undo)
        mask = session.extend(options.clicks)
    except ValueError as error:
        message = str(error)
        named = str(options.image) in message or str(options.session) in message
        raise ValueError(message if named else f"{options.image}: {message}") from None
    contents = {options.out: _written(image, mask, options)}
    if options.session is not None:
        contents[options.session] = session.to_json()
    if options.level_lines is not None:
        contents[options.level_lines] = level_lines(image, session.clicks, model)
    for written in write_files(contents):
        print(written)
    return 0


def _written(image: "np.ndarray", mask: "np.ndarray", options: argparse.Namespace) -> bytes:
    """Return the mask as the file that the output's name asks for."""
    kind = options.out.suffix.lower()
    if kind == ".png":
        return png(mask.astype("uint8") * 255)
    one = Segmented(
        name=options.image.name,
        place=options.out,
        image=image,
        found=mask.astype("int32"),
        map_place=place_of(options.image, options) if kind == ".geojson" else None,
    )
    return geojson(one) if kind == ".geojson" else svg(one)


def _taken_up(
    image: "np.ndarray", saved: Path | None, model: str | None
) -> "tuple[Segmenter, ClickSession]":
    """Return a model and its session: of a file, by the model that made it if none is given."""
    from maskspace.session import read_session

    name = model or (DEFAULT_MODEL if saved is None else read_session(saved).model)
    from maskspace.segmenter.loading import load

    segmenter = load(name)
    session = segmenter.session(image)
    session.model = name  # what can be loaded again: a folder, not only what it is called
    if saved is not None:
        session.load(saved)
    return segmenter, session


def _read_mask(path: Path, size_hw: tuple[int, int]) -> "np.ndarray":
    """Return a mask file as bool h w, read as every reader reads masks."""
    from maskspace.data.readers.label_maps import binary_mask, read_file

    return binary_mask(read_file(path), name=str(path), size_hw=size_hw)
