"""Small raw data of every kind that the generator of the samples makes."""

from pathlib import Path

import pytest

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
