"""Small raw data of every kind that the generator of the samples makes."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine, with the bucket `maskspace-test`."""
    from moto.server import ThreadedMotoServer  # a second to import

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an S3 bucket, reached as users reach theirs: through the usual variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.filesystem("s3").mkdirs("maskspace-test", exist_ok=True)
    return "s3://maskspace-test"


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
