"""A network's maps from tiles are those of the whole image; one tree has no seams."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from torch import nn

import maskspace
from maskspace.cli import main
from maskspace.heads import DenseMap, Level
from maskspace.segmenter.border import BorderSegmenter
from maskspace.segmenter.embedding import EmbeddingSegmenter, in_tiles
from maskspace.segmenter.tiles import Tiles, tiled_outputs


class Convolutions(nn.Module):
    """A fully convolutional network that sees 8 pixels around each: two strides, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.declared = {"boundary": DenseMap(channels=1), "2": Level(channels=3, stride=2)}
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 9, padding=4)
        self.fine = nn.Conv2d(6, 1, 9, padding=4)
        self.coarse = nn.Conv2d(6, 3, 9, padding=4, stride=2)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.first(image).relu()
        return {"boundary": 8 * self.fine(x), "2": self.coarse(x).sigmoid()}


NETWORK = Convolutions().eval()


def student(**options: object) -> BorderSegmenter:
    return BorderSegmenter("mine", NETWORK, levels=(2,), **options)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=15)
@given(st.integers(16, 200), st.integers(16, 200), st.sampled_from([64, 96]))
def test_where_the_halo_covers_what_is_seen_tiles_give_the_whole(height, width, side):
    image = picture(height, width)
    model = student()
    whole, tiled = (
        one._outputs(image) for one in (model, student(tiles=Tiles(side=side, halo=32)))
    )
    for name, values in whole.items():
        assert tiled[name].shape == values.shape
        torch.testing.assert_close(tiled[name], values, atol=1e-5, rtol=1e-5)


def test_one_tree_is_made_of_all_tiles_and_no_seam_is_a_border():
    image = np.zeros((160, 224, 3), np.uint8)
    image[40:120, 30:200] = 200  # an object over four tiles
    model = student(regions=16)
    tiled = replace(model, tiles=Tiles(side=64, halo=32))
    np.testing.assert_array_equal(tiled.partition(image, 2), model.partition(image, 2))
    np.testing.assert_array_equal(tiled.partition(image, 9), model.partition(image, 9))


def test_an_image_is_worked_on_at_its_own_size():
    image = picture(48, 200)
    tiled = student(max_side=64, tiles=Tiles(side=64))
    assert tiled.hierarchy(image).superpixels.shape == (48, 200)
    assert student(max_side=64).hierarchy(image).superpixels.shape[1] == 64


def test_tiles_of_the_photo_student_lie_on_the_grid_of_the_whole_photo():
    photo = data.astronaut()[:170, :230]
    model = cast("BorderSegmenter", maskspace.load("student-tiny"))
    whole = model._outputs(photo)
    tiled = replace(model, tiles=Tiles(side=64, halo=192))._outputs(photo)  # sees 384 around each
    for name, values in whole.items():
        torch.testing.assert_close(tiled[name], values, atol=2e-3, rtol=0)


class Failing(Convolutions):
    """Fails, or answers with what is no number, where a tile is bright."""

    def __init__(self, *, error: bool) -> None:
        super().__init__()
        self.error = error

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = super().forward(image)
        if image.max() < 0.9:
            return outputs
        if self.error:
            raise RuntimeError("out of memory")
        return {name: x * float("nan") for name, x in outputs.items()}


@pytest.mark.parametrize(("error", "told"), [(True, "out of memory"), (False, "not finite")])
def test_a_tile_that_fails_is_an_error_that_names_it(error, told):
    image = np.zeros((200, 200, 3), np.uint8)
    image[150, 190] = 255
    model = EmbeddingSegmenter("mine", Failing(error=error), levels=(2,))
    with pytest.raises(ValueError, match=f"rows 128 to 191, columns 128 to 191: .*{told}"):
        replace(model, tiles=Tiles(side=64, halo=0)).partition(image, 4)


def test_large_maps_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr("maskspace.segmenter.tiles.MOST_BYTES", 1000)
    image = picture(90, 70)
    whole = student()._outputs(image)
    tiled = tiled_outputs(student()._looked, image, Tiles(side=64, halo=32), heads=NETWORK.declared)
    for name, values in whole.items():
        assert tiled[name].dtype == torch.float16
        torch.testing.assert_close(tiled[name].float(), values, atol=1e-3, rtol=1e-3)
    assert student(tiles=Tiles(side=64)).partition(image, 5).max() == 5


def test_what_depends_on_the_whole_image_is_refused():
    network = Convolutions()
    network.declared = {"1": Level(channels=2, position="add")}
    model = EmbeddingSegmenter("mine", network, levels=(1,))
    with pytest.raises(ValueError, match="mine cannot be asked in tiles: its head 1"):
        in_tiles(model, side=64)


def test_segment_takes_tiles_and_refuses_what_is_none(tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()[:100, :150]).save(photo)
    command = ["segment", str(photo), "--regions", "5", "--out", str(tmp_path / "out")]
    assert main([*command, "--model", "student-tiny", "--tiles", "64", "--format", "npz"]) == 0
    assert np.load(tmp_path / "out" / "photo.npz")["labels"].max() == 5
    for model, side, told in (
        ("lab", "64", "tiles are for students"),
        ("student-tiny", "100", "multiples of 32"),
    ):
        assert main([*command, "--model", model, "--tiles", side]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
