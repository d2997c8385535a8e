"""Small raw data of every kind that the generator of the samples makes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.hqseg44k import SUBSETS
from samples.make_samples import write_hypersim, write_sa1b_tar, write_textures


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `textures/`, `sa1b/` (two tars of two images) and `hypersim/` (two frames)."""
    root = tmp_path_factory.mktemp("raw")
    write_textures(root / "textures")
    for number in range(2):
        ids = range(9 + 2 * number, 11 + 2 * number)
        write_sa1b_tar(root / "sa1b" / f"sa_{number:06d}.tar", ids, seed=0)
    write_hypersim(root / "hypersim", seed=0, frames=2)
    return root


def write_image(path: Path, pixels: np.ndarray) -> Path:
    """Write an image file, and its folders where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def picture() -> Callable[[Path, np.ndarray], Path]:
    """The function that writes an array as the image file of a layout."""
    return write_image


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of each layout whose data is not at hand: `hqseg44k/`."""
    root = tmp_path_factory.mktemp("trees")
    write_hqseg44k(root / "hqseg44k")
    return root


def write_hqseg44k(root: Path) -> None:
    """Write two images of every sub-set; masks of grey, of colour and with soft edges."""
    rng = np.random.default_rng(0)
    for number, subset in enumerate(SUBSETS.values()):
        for stem in ("2#Air#7", "b"):
            image = rng.integers(0, 256, (12 + number, 10, 3), dtype=np.uint8)
            mask = np.zeros(image.shape, np.uint8)
            mask[2:5, 1 : 3 + number % 4, number % 3] = 1 if stem == "b" else 255
            write_image(root / subset.images / f"{stem}.jpg", image)
            write_image(root / subset.masks / f"{stem}.png", mask if number % 2 else mask.max(2))
