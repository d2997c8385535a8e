"""What the commands share: parsers whose errors are one line, argument types, whole files."""

import argparse
import ast
import io
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

from maskspace.bundled import require_model
from maskspace.files import appearing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from maskspace.data.map_place import MapPlace
    from maskspace.data.source import Source

Entry = TypeVar("Entry")

DEFAULT_MODEL = "student"

#: In every file of masks that a command writes: it may be replaced by the same command.
MARK = b"written by maskspace"

#: Endings of images that may have several pages or frames.
_OF_PAGES = (".tif", ".tiff", ".gif", ".webp", ".png")

DATA_HELP = (
    "a dataset's kind and where it is, such as bsds500:/data/bsds500, with options of its reader "
    "after commas, as in folder:/data/cells,ignored=255,mask_suffix=_mask (docs/datasets.md)"
)

MODEL_HELP = (
    "a bundled model, a peer such as felzenszwalb@scale=200 or sam@weights=FOLDER, a folder with "
    "model.json and model.safetensors, a published checkpoint *.pth, models:/NAME@alias, or "
    "results:PATH, COCO's list of results or a folder of label maps, to be evaluated; a "
    "click model takes options too, as in FOLDER@per_side=32,nms=box (docs/proposals.md), and the "
    "student for photos, as in student@flips=true"
)


def complain(message: str) -> int:
    """Print one line on standard error and return the exit status of a caller's mistake.

    Example:
        >>> complain("photo.jpg: cannot be read")
        2
    """
    line = " ".join(message.split()).encode("utf-8", "backslashreplace").decode()
    print(f"maskspace: {line}", file=sys.stderr)
    return 2


def note(message: str) -> None:
    """Print one line on standard error: nothing is wrong, but the caller should know.

    Example:
        >>> note("photo.jpg: worked on at half its size")
    """
    complain(message)


@cache
def table_names(package: str, table: str) -> tuple[str, ...]:
    """Return the keys of a table as its package's file has them: the package is not imported.

    Example:
        >>> "felzenszwalb" in table_names("maskspace.peers", "PEERS")
        True
    """
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    for statement in ast.parse(Path(spec.origin).read_text()).body:
        target = getattr(statement, "target", None)
        if isinstance(target, ast.Name) and target.id == table:
            value = getattr(statement, "value", None)
            assert isinstance(value, ast.Dict)
            return tuple(str(key.value) for key in value.keys if isinstance(key, ast.Constant))
    raise AssertionError(f"{package} has no table {table}")


def check_model(name: str) -> None:
    """Raise ValueError for a name that is no model's, before torch is imported, which takes long.

    Example:
        >>> check_model("felzenszwalb@scale=200")
    """
    peers = sys.modules.get("maskspace.peers")
    require_model(name, table_names("maskspace.peers", "PEERS") if peers is None else peers.PEERS)


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line.

    Example:
        >>> parser = OneLineParser(prog="maskspace")
        >>> parser.add_argument("--limit", type=count).type("3")
        3
    """

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line that says where help is."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def count(text: str) -> int:
    """Return a whole number of at least 1.

    Example:
        >>> count("12")
        12
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Return a number of at least 0 and below 1.

    Example:
        >>> share("0.25")
        0.25
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share of at least 0 and below 1")
    return value


def add_reading(command: argparse.ArgumentParser) -> None:
    """Give a parser the options of how image files are read.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_reading(parser)
        >>> parser.parse_args(["--white", "4095"]).white
        4095.0
    """
    command.add_argument(
        "--white",
        type=white,
        metavar="VALUE",
        help="what is white in images of more than 8 bits: a number such as 4095, minmax (the "
        "largest value; the smallest is black) or percentile (all but a thousandth of the pixels); "
        "default what the file says, else the largest value of its type",
    )
    command.add_argument(
        "--no-exif",
        dest="exif",
        action="store_false",
        help="take the pixels as they are stored, whatever EXIF says of turning them",
    )
    command.add_argument(
        "--page",
        type=count,
        metavar="N",
        help="which page of a TIFF, or frame of a film, from 1; smaller copies of a page do not "
        "count (default 1, and a line that says so where there are more)",
    )


def read_photo(photo: Path, options: argparse.Namespace) -> "np.ndarray":
    """Return an image as the options of `add_reading` say; more pages than one are told.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> photo = Path(tempfile.mkdtemp(), "photo.png")
        >>> _ = photo.write_bytes(png(np.zeros((20, 30, 3), np.uint8)))
        >>> read_photo(photo, argparse.Namespace(white=None, exif=True, page=None)).shape
        (20, 30, 3)
    """
    from maskspace.rgb import pages
    from maskspace.segmenter import checked_image

    image = checked_image(photo, white=options.white, exif=options.exif, page=options.page or 1)
    if options.page is None and photo.suffix.lower() in _OF_PAGES:
        number = pages(photo.read_bytes())
        if number > 1:
            note(f"{photo}: {number} pages; the first is taken, give --page N for another")
    return image


def white(text: str) -> float | str:
    """Return a value above 0, or minmax or percentile.

    Example:
        >>> white("4095"), white("minmax")
        (4095.0, 'minmax')
    """
    if text in ("minmax", "percentile"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no value above 0, minmax or percentile")
    return value


class DatasetArgument(NamedTuple):
    """What KIND:PATH,option=value names: options of the kind's reader, as text.

    Example:
        >>> DatasetArgument("folder", "cells", {"ignored": "255"}).kind
        'folder'
    """

    kind: str
    path: str
    options: dict[str, str]


def dataset(text: str) -> DatasetArgument:
    """Return the parts of KIND:PATH,option=value,…; what is no option=value belongs to the path.

    Example:
        >>> dataset("folder:data/cells,ignored=255")
        DatasetArgument(kind='folder', path='data/cells', options={'ignored': '255'})
    """
    kind, colon, rest = text.partition(":")
    pieces = rest.split(",")
    options: dict[str, str] = {}
    while len(pieces) > 1 and (said := re.fullmatch(r"([a-z][a-z0-9_]*)=(.*)", pieces[-1])):
        options = {said[1]: said[2], **options}
        pieces.pop()
    path = ",".join(pieces)
    if not (kind and colon and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:PATH, such as bsds500:data/bsds500")
    return DatasetArgument(kind, path, options)


def named(
    data: Sequence[DatasetArgument], make: Callable[[DatasetArgument], Entry]
) -> dict[str, Entry]:
    """Return what is made of each dataset, by its kind, or by its place too where it is repeated.

    Two of one kind and place have their options in their names.

    Example:
        >>> two = [dataset("folder:cells"), dataset("folder:leaves")]
        >>> list(named(two, lambda one: one.path))
        ['folder:cells', 'folder:leaves']
    """
    kinds = Counter(one.kind for one in data)
    places = Counter((one.kind, one.path) for one in data)

    def name(one: DatasetArgument) -> str:
        if kinds[one.kind] == 1:
            return one.kind
        options = "".join(f",{key}={value}" for key, value in one.options.items())
        return f"{one.kind}:{one.path}" + (options if places[one.kind, one.path] > 1 else "")

    return {name(one): make(one) for one in data}


def tell_notes(sources: "Mapping[str, Source]") -> None:
    """Say on standard error what the readers guessed and left out.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> tell_notes({"rectangles": read_rectangles("", seed=0, limit=2)})  # nothing was guessed
    """
    for name, source in sources.items():
        for note in source.notes:
            complain(f"{name}: {note}")


def same_name(path: Path) -> str:
    """Return what is equal for paths that some file systems take for one.

    Links are followed; capitals and composed characters do not count.

    Example:
        >>> same_name(Path("A.PNG")) == same_name(Path("a.png"))
        True
    """
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


class Inputs:
    """The files that a command was given: none of them may be replaced by what it writes.

    Example:
        >>> inputs = Inputs([Path("photo.png")])
        >>> inputs.keep([Path("mask.png")])
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = {same_name(path): path for path in paths}
        self._files = {_number(path): path for path in self._paths.values() if path.exists()}
        self._folders = {same_name(path.parent) for path in self._paths.values()}

    def keep(self, outputs: Iterable[Path], *, beside: bool = False) -> None:
        """Raise ValueError for an output that is an input: by its name, by a link, by its case.

        With `beside`, also for one that would replace any other file in a folder of inputs, such as
        an annotation of the same name, unless a command wrote it (see `MARK`).
        """
        for output in outputs:
            known = self._paths.get(same_name(output))
            if known is None and output.exists():
                known = self._files.get(_number(output))
            if known is not None:
                raise ValueError(f"{output}: would replace the input {known}; give another --out")
            there = beside and same_name(output.parent) in self._folders
            if there and output.exists() and not _is_ours(output):
                raise ValueError(
                    f"{output}: is there, beside the input; it is not replaced; give another --out"
                )


def _is_ours(path: Path) -> bool:
    """Return whether a command wrote the file: it says so near its beginning or its end."""
    content = path.read_bytes() if path.is_file() else b""
    return MARK in content[:200] or MARK in content[-50:]


def _number(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def image_files(folder: Path, *, leave: Path) -> list[Path]:
    """Return the images in a folder and the folders in it, sorted; hidden ones are left out.

    What lies under `leave`, the folder of the results, is none of them.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> names = ("2.png", "10.png", "notes.txt")
        >>> _ = write_files({folder / name: b"" for name in names})
        >>> [path.name for path in image_files(folder, leave=folder / "out")]
        ['2.png', '10.png']
    """
    from maskspace.data.listings import natural
    from maskspace.data.readers.folder import IMAGES

    inside = leave.resolve() != folder.resolve() and leave.exists()
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and not (inside and path.resolve().is_relative_to(leave.resolve()))
    ]
    return sorted(found, key=lambda path: natural(path.as_posix()))


def write_files(contents: dict[Path, bytes]) -> list[Path]:
    """Write files so that all appear, each complete, after everything has been written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path.name for path in write_files({folder / "a.txt": b"a", folder / "b.txt": b"b"})]
        ['a.txt', 'b.txt']
    """
    try:
        with ExitStack() as files:
            for path, content in contents.items():
                files.enter_context(appearing(path)).write_bytes(content)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return list(contents)


def png(array: "np.ndarray") -> bytes:
    """Return an image as a PNG file.

    Example:
        >>> import numpy as np
        >>> png(np.zeros((2, 2), np.uint8))[1:4]
        b'PNG'
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Software", MARK.decode())
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", pnginfo=told)
    return file.getvalue()


def place_of(photo: Path, options: argparse.Namespace) -> "MapPlace | None":
    """Return where an image lies on the map, None where that is not known.

    What a GeoTIFF says is read by rasterio; where that is missing, a line says so.

    Example:
        >>> place_of(Path("photo.jpg"), argparse.Namespace(exif=True, page=None)) is None
        True
    """
    from maskspace.data.map_place import can_read_places, map_place

    if geotiff_of(photo, options) is None:
        return None
    if can_read_places():
        return map_place(photo)
    note(f"{photo}: polygons in pixels; for map coordinates pip install 'maskspace[geo]'")
    return None


def geotiff_of(photo: Path, options: argparse.Namespace) -> Path | None:
    """Return an image's file if it says where its first page lies on the map.

    Raises ValueError for one whose pixels are turned, of which its place says nothing.

    Example:
        >>> geotiff_of(Path("photo.jpg"), argparse.Namespace(exif=True, page=None)) is None
        True
    """
    from maskspace.data.map_place import is_geotiff, turns

    if not is_geotiff(photo):
        return None
    if options.page not in (None, 1):
        note(f"{photo}: where page {options.page} lies on the map is not known")
        return None
    if options.exif and turns(photo):
        raise ValueError(f"{photo}: a GeoTIFF that is also turned; give --no-exif")
    return photo
