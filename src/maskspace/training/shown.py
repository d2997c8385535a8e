"""The arrays of what a validation looks at, so that its picture can be drawn at any time."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from maskspace.files import appearing

#: The file of a training's last validation.
SHOWN = "shown.npz"
#: Images of it.
NUMBER = 6
_ABOUT = "about"


def keep_shown(path: Path, arrays: Mapping[str, np.ndarray], *, about: object) -> None:
    """Write arrays by name in an NPZ file; `about` is JSON that tells how they are to be drawn."""
    told = np.array(json.dumps(about))
    with appearing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, **{_ABOUT: told})


def read_shown(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays of a file of `keep_shown`, and what it tells of them."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, json.loads(str(arrays.pop(_ABOUT)))
