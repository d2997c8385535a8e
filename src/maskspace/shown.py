"""The arrays of a picture, kept in a file, so that the picture can be drawn at any time."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from maskspace.files import appearing

#: The file's name beside what was measured.
SHOWN = "shown.npz"
#: Images that a training shows of its validation.
NUMBER = 6
_ABOUT = "about"


def keep_shown(path: Path, arrays: Mapping[str, np.ndarray], *, about: object) -> None:
    """Write arrays by name to an NPZ file; `about` is JSON that says how to draw them.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "picture.npz")
        >>> keep_shown(path, {"mask": np.eye(2, dtype=bool)}, about={"title": "eye"})
        >>> read_shown(path)[1]
        {'title': 'eye'}
    """
    about_json = np.array(json.dumps(about))
    with appearing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, **{_ABOUT: about_json})


def read_shown(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays of a file of `keep_shown`, and its `about`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "picture.npz")
        >>> keep_shown(path, {"mask": np.eye(2, dtype=bool)}, about={"title": "eye"})
        >>> read_shown(path)[0]["mask"].astype(int).tolist()
        [[1, 0], [0, 1]]
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, json.loads(str(arrays.pop(_ABOUT)))


def shrunk_array(array: Shaped[np.ndarray, "*c h w"], side: int) -> Shaped[np.ndarray, "*c r s"]:
    """Return evenly spaced rows and columns, so that the longer side is at most `side`.

    A smaller array is returned as it is. Otherwise the pixels are those at the centres of equal
    cells.

    Example:
        >>> shrunk_array(np.arange(8).reshape(1, 8), 4).tolist()
        [[1, 3, 5, 7]]
    """
    longest = max(array.shape[-2:])
    if longest <= side:
        return array
    height, width = (max(1, round(length * side / longest)) for length in array.shape[-2:])
    rows = (2 * np.arange(height) + 1) * array.shape[-2] // (2 * height)
    columns = (2 * np.arange(width) + 1) * array.shape[-1] // (2 * width)
    return array[..., rows[:, None], columns]
