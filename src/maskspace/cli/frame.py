"""What the commands share: parsers whose errors are one line, argument types, whole files."""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from maskspace.files import appearing

if TYPE_CHECKING:
    import numpy as np

Entry = TypeVar("Entry")

DEFAULT_MODEL = "student"
MODEL_HELP = (
    "a bundled model, a peer such as felzenszwalb@scale=200 or sam@weights=FOLDER, a folder with "
    "model.json and model.safetensors, a published checkpoint *.pth, or models:/NAME@alias; a "
    "click model takes options too, as in FOLDER@per_side=32,nms=box (docs/proposals.md)"
)


def complain(message: str) -> int:
    """Print one line on standard error and return the exit status of a caller's mistake."""
    print(f"maskspace: {' '.join(message.split())}", file=sys.stderr)
    return 2


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line that says where help is."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Return a number of at least 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share of at least 0 and below 1")
    return value


def dataset(text: str) -> tuple[str, str]:
    """Return the kind and the path of KIND:PATH."""
    kind, colon, path = text.partition(":")
    if not (kind and colon and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:PATH, such as bsds500:data/bsds500")
    return kind, path


def named(data: Sequence[tuple[str, str]], make: Callable[[str, str], Entry]) -> dict[str, Entry]:
    """Return what is made of each KIND:PATH, by its kind, or by both where a kind is repeated."""
    kinds = Counter(kind for kind, _ in data)
    return {kind if kinds[kind] == 1 else f"{kind}:{path}": make(kind, path) for kind, path in data}


def write_files(contents: dict[Path, bytes]) -> list[Path]:
    """Write files so that all appear, each complete, after everything has been written."""
    try:
        with ExitStack() as files:
            for path, content in contents.items():
                files.enter_context(appearing(path)).write_bytes(content)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return list(contents)


def png(array: "np.ndarray") -> bytes:
    """Return an image as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()
